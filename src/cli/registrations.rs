//! `sipgw registrations`

use std::collections::HashMap;

use sipgw::http::view::RegistrationView;

use super::Context;
use super::client::Client;
use super::failure::Failure;
use super::output::{Table, or_dash, time};

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let registrations: Vec<RegistrationView> = Client::new(&context.config).read("/registrations")?;
    let profiles = context.store().await?.profiles(None).await?;
    let names: HashMap<i64, String> = profiles.into_iter().map(|p| (p.id.0, p.name)).collect();
    context.output.show(&registrations, || {
        let mut table = Table::new(["profile", "from", "transport", "nat", "until", "user agent", "contact"]);
        for registration in &registrations {
            table.row([
                names.get(&registration.profile).cloned().unwrap_or_else(|| registration.profile.to_string()),
                registration.source.clone(),
                registration.transport.clone(),
                if registration.behind_nat { "yes" } else { "no" }.to_owned(),
                time(i64::try_from(registration.expires_unix_s).unwrap_or(0).saturating_mul(1_000_000)),
                or_dash(registration.user_agent.clone()),
                registration.contact.clone(),
            ]);
        }
        table.text("No PBX is registered.")
    });
    Ok(())
}

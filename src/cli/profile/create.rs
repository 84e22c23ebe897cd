//! `sipgw profile create`

use clap::Args;
use provisioning_store::store::NewProfile;

use super::{
    Context, Failure, Micros, Order, ProfileSettings, Settings, Store, find, show_credentials, storage,
};

#[derive(Args)]
pub(crate) struct Create {
    /// The company's number or name.
    company: String,
    /// Its name, a label.
    name: String,
    /// Channels to buy from the company's credit; without any it is not active yet.
    #[arg(long)]
    channels: Option<u32>,
    /// Minute bundles to buy with them.
    #[arg(long, default_value_t = 0, requires = "channels")]
    bundles: u32,
    /// Credit to move from the company.
    #[arg(long)]
    credit: Option<Micros>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(context: &Context, store: &Store, create: Create) -> Result<(), Failure> {
    let company = find::company(store, &create.company).await?;
    let prices = context.config.price_list();
    let order = create.channels.map(|channels| (Order { channels, bundles: create.bundles }, prices));
    let settings = create.settings.over(ProfileSettings::default());
    let new = NewProfile { company: company.id, name: create.name, settings, order };
    let (profile, credentials) = store.create_profile(storage::now(), new).await?;
    if let Some(credit) = create.credit {
        store.allocate(storage::now(), profile.id, credit).await?;
    }
    show_credentials(context, &profile, &credentials);
    Ok(())
}

//! `sipgw status`

use sipgw::http::view::StatusView;

use super::Context;
use super::client::Client;
use super::failure::Failure;

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let status: StatusView = Client::new(&context.config).read("/status")?;
    context.output.show(&status, || {
        let takes = status.obstacle.as_deref().map_or_else(
            || match &status.trouble {
                None => "It takes calls.".to_owned(),
                Some(trouble) => format!("It takes calls, but {trouble}."),
            },
            |obstacle| format!("It takes no new calls: {obstacle}."),
        );
        format!(
            "sipgw {} runs: {} calls, {} registrations, {} transactions. {takes}\n",
            status.version, status.calls, status.registrations, status.transactions
        )
    });
    match status.obstacle {
        None => Ok(()),
        Some(obstacle) => Err(Failure::Unanswered(format!("the gateway takes no new calls: {obstacle}"))),
    }
}

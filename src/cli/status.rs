//! `sipgw status`

use super::Context;
use super::failure::Failure;
use super::shown::cell;

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let status = context.running().await?.get("/status").await?;
    let obstacle = status["obstacle"].as_str();
    context.output.show(&status, || {
        let takes = match (obstacle, status["trouble"].as_str()) {
            (Some(obstacle), _) => format!("It takes no new calls: {obstacle}."),
            (None, Some(trouble)) => format!("It takes calls, but {trouble}."),
            (None, None) => "It takes calls.".to_owned(),
        };
        let [version, calls, registrations, transactions] =
            ["version", "calls", "registrations", "transactions"].map(|name| cell(&status[name]));
        format!(
            "sipgw {version} runs: {calls} calls, {registrations} registrations, {transactions} transactions. {takes}\n"
        )
    });
    match obstacle {
        None => Ok(()),
        Some(obstacle) => Err(Failure::Unanswered(format!("the gateway takes no new calls: {obstacle}"))),
    }
}

//! `sipgw books`: whether the accounts are sound.

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say whether every balance is the sum of its movements, every reservation belongs to a live call and nothing
    /// was made or lost. Works beside a running gateway; exit status 1 if anything is wrong.
    Verify,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify => verify(context).await,
    }
}

async fn verify(context: &Context) -> Result<(), Failure> {
    let wrong: Vec<String> = context.store().await?.verify().await?.iter().map(ToString::to_string).collect();
    context.output.show(&json!({ "is_sound": wrong.is_empty(), "wrong": wrong }), || {
        match wrong.as_slice() {
            [] => "The books are sound.\n".to_owned(),
            wrong => wrong.iter().map(|one| format!("{one}\n")).collect(),
        }
    });
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Refused("the books are not sound".to_owned())) }
}

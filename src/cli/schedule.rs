//! `sipgw schedule ...`

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use super::consent::Consent;
use super::failure::Failure;
use super::shown::when;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say when it was looked last for what falls due, and whether the clock is believed.
    Show,
    /// Say that the clock is right: what has fallen due by now is billed, lapses and is deleted.
    Confirm {
        #[command(flatten)]
        consent: Consent,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.running().await?;
    let mut schedule = gateway.get("/schedule").await?;
    if let Command::Confirm { consent } = command {
        let until = when(&schedule["now"]);
        let what = format!("all that has fallen due until {until} would be billed, lapse or be deleted");
        consent.to(&gateway, &what).await?;
        schedule = gateway.post("/schedule/confirmation", Value::Null).await?;
    }
    context.output.show(&schedule, || {
        let [now, last] = ["now", "last_look"].map(|field| when(&schedule[field]));
        match schedule["is_clock_in_doubt"] == true {
            false => format!("It is {now}. What falls due is done.\n"),
            true => format!(
                "It is {now}, and it was looked last at {last}. Nothing falls due until the clock is set, or confirmed: sipgw schedule confirm\n"
            ),
        }
    });
    Ok(())
}

//! `sipgw demo`

use clap::Args;
use sipgw::demo::{self, Afterwards, DemoError, Verdict};

use super::failure::Failure;

/// What to do when the story is told.
#[derive(Args)]
pub(crate) struct Options {
    /// End when the story is told, instead of staying up for a phone of your own.
    #[arg(long)]
    exit: bool,
}

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let afterwards = if options.exit { Afterwards::End } else { Afterwards::Stay };
    match demo::run(afterwards).await? {
        Verdict::AllHeld => Ok(()),
        Verdict::Failed => Err(Failure::Refused("not every check of the demonstration held".to_owned())),
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::Unanswered(error.to_string())
    }
}

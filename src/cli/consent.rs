//! Whether what cannot be taken back is meant.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use sipgw::text::plain;

use super::failure::Failure;
use super::gateway::Gateway;

#[derive(Args)]
pub(crate) struct Consent {
    /// Say that this is meant; otherwise it is asked.
    #[arg(long)]
    yes: bool,
}

impl Consent {
    /// Asks whoever sits at the terminal whether this is to happen. Where nobody does, it has been said already or it does
    /// not happen.
    pub(crate) async fn to(&self, gateway: &Gateway, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Refused(format!("{what}; say --yes if this is meant")));
        }
        gateway.let_go().await;
        let mut terminal = io::stderr().lock();
        let asked = write!(terminal, "{}. Go on? [y/N] ", plain(what)).and_then(|()| terminal.flush());
        let mut answer = String::new();
        let heard = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
        match heard.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
            true => Ok(()),
            false => Err(Failure::Refused("nothing was done".to_owned())),
        }
    }
}

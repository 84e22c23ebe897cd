//! `sipgw bans ...`

use clap::Subcommand;
use sipgw::http::view::BanView;

use super::Context;
use super::client::Client;
use super::failure::Failure;
use super::output::Table;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the sources and users that are not heard, because too many passwords were guessed.
    List,
    /// Hear a source or a user again.
    Release {
        /// The address or the user name, as `bans list` shows it.
        source: String,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = Client::new(&context.config);
    match command {
        Command::List => {
            let bans: Vec<BanView> = client.read("/bans")?;
            context.output.show(&bans, || text(&bans));
        }
        Command::Release { source } => {
            let said = client.delete(&format!("/bans/{}", escaped(&source)))?;
            context.output.done(&said);
        }
    }
    Ok(())
}

/// One step of a path: whoever guesses passwords chooses the user names.
fn escaped(text: &str) -> String {
    let escape = |octet: u8| match octet {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn text(bans: &[BanView]) -> String {
    let mut table = Table::new(["kind", "whom", "last user", "left"]);
    for ban in bans {
        table.row([ban.kind.clone(), ban.whom.clone(), ban.user.clone(), format!("{} s", ban.left_s)]);
    }
    table.text("Nobody is banned.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_step_of_a_path() {
        assert_eq!(escaped("203.0.113.66"), "203%2E0%2E113%2E66");
        assert_eq!(escaped("2001:db8::/64"), "2001%3Adb8%3A%3A%2F64");
        assert_eq!(escaped("../ü"), "%2E%2E%2F%C3%BC");
    }
}

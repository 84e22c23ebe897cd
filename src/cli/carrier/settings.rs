//! The settings of a carrier on the command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use provisioning_store::model::{CarrierAuthentication, NewCarrier, NumberFormat, Srtp, Transport};
use provisioning_store::secrets::Password;

use super::Failure;

#[derive(Args)]
pub(crate) struct Settings {
    /// Its port. Without one, SRV records decide.
    #[arg(long)]
    port: Option<u16>,
    /// udp, tcp or tls; a new carrier's is udp.
    #[arg(long)]
    transport: Option<Transport>,
    /// Lower is tried first; a new carrier's is 10.
    #[arg(long)]
    priority: Option<u16>,
    /// Share among those of the same priority; a new carrier's is 10.
    #[arg(long)]
    weight: Option<u16>,
    /// The user name that the carrier gave; without one it knows the gateway by address.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// The file that holds its password; `-` reads standard input. On the command line others could see it.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// An address or range that its calls may come from; may be repeated, and replaces those before.
    #[arg(long = "source", value_parser = crate::cli::profile::network)]
    sources: Vec<IpNet>,
    /// How numbers are written towards it: e164 (with +), digits, zero_zero or national; a new carrier's is e164.
    #[arg(long)]
    format: Option<NumberFormat>,
    /// The country, as US, in whose national form it may write callers and called numbers; without one they are read
    /// in full alone.
    #[arg(long, value_parser = country)]
    country: Option<String>,
    /// Leading characters to take off every called number, once it is in that format.
    #[arg(long)]
    strip: Option<u8>,
    /// Put before what is left of the called number.
    #[arg(long)]
    prefix: Option<String>,
    /// Encryption of its media: auto, off, optional or required; a new carrier's is off.
    #[arg(long)]
    srtp: Option<Srtp>,
}

#[derive(Args)]
pub(crate) struct Change {
    /// Number or name.
    pub(super) carrier: String,
    /// Another label.
    #[arg(long)]
    name: Option<String>,
    /// Another domain name or address.
    #[arg(long)]
    host: Option<String>,
    /// Let SRV records decide the port.
    #[arg(long, conflicts_with = "port")]
    no_port: bool,
    /// Prove nothing to it: it knows the gateway by address.
    #[arg(long, conflicts_with = "user")]
    no_user: bool,
    /// It writes all numbers in full.
    #[arg(long, conflicts_with = "country")]
    no_country: bool,
    /// Take no calls from addresses besides its host's.
    #[arg(long, conflicts_with = "sources")]
    no_source: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// What is named replaces what is there.
    pub(super) fn over(self, before: NewCarrier) -> Result<NewCarrier, Failure> {
        let authentication = match (self.user, self.password_file) {
            (Some(user), Some(file)) => CarrierAuthentication::Digest { user, password: password(&file)? },
            _ => before.authentication,
        };
        Ok(NewCarrier {
            port: self.port.or(before.port),
            transport: self.transport.unwrap_or(before.transport),
            priority: self.priority.unwrap_or(before.priority),
            weight: self.weight.unwrap_or(before.weight),
            authentication,
            sources: if self.sources.is_empty() { before.sources } else { self.sources },
            number_format: self.format.unwrap_or(before.number_format),
            country: self.country.or(before.country),
            strip: self.strip.unwrap_or(before.strip),
            prefix: self.prefix.unwrap_or(before.prefix),
            srtp: self.srtp.unwrap_or(before.srtp),
            ..before
        })
    }
}

impl Change {
    /// What is named replaces what is there.
    pub(super) fn over(self, mut before: NewCarrier) -> Result<NewCarrier, Failure> {
        if self.no_port {
            before.port = None;
        }
        if self.no_user {
            before.authentication = CarrierAuthentication::Ip;
        }
        if self.no_country {
            before.country = None;
        }
        if self.no_source {
            before.sources.clear();
        }
        before.name = self.name.unwrap_or(before.name);
        before.host = self.host.unwrap_or(before.host);
        self.settings.over(before)
    }
}

/// A country's two letters (ISO 3166 alpha-2).
fn country(text: &str) -> Result<String, String> {
    let is_country = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_country {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("two letters are needed, as in US".to_owned())
    }
}

fn password(file: &Path) -> Result<Password, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?;
    Ok(Password::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        change: Change,
    }

    fn change(words: &[&str], before: NewCarrier) -> NewCarrier {
        let line =
            Line::try_parse_from([&["change", "up"], words].concat()).unwrap_or_else(|e| panic!("{e}"));
        line.change.over(before).unwrap()
    }

    fn before() -> NewCarrier {
        NewCarrier {
            port: Some(5080),
            sources: vec!["198.51.100.0/24".parse().unwrap()],
            prefix: "9".to_owned(),
            authentication: CarrierAuthentication::Digest { user: "us".into(), password: Password::new("x") },
            ..NewCarrier::new("up", "203.0.113.5")
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        assert_eq!(change(&[], before()), before());
        let changed = change(&["--host", "203.0.113.6", "--transport", "tls", "--priority", "5"], before());
        let wanted = NewCarrier { transport: Transport::Tls, priority: 5, ..before() };
        assert_eq!(changed, NewCarrier { host: "203.0.113.6".to_owned(), ..wanted });
    }

    #[test]
    fn what_there_is_can_be_taken_away() {
        let national = change(&["--country", "us"], before());
        assert_eq!(national.country.as_deref(), Some("US"));
        assert_eq!(change(&["--no-country"], national), before());
        assert!(Line::try_parse_from(["change", "up", "--country", "USA"]).is_err());
        let bare = change(&["--no-port", "--no-user", "--no-source", "--prefix", ""], before());
        assert_eq!(bare, NewCarrier::new("up", "203.0.113.5"));
        assert!(Line::try_parse_from(["change", "up", "--no-port", "--port", "5060"]).is_err());
    }
}

//! The settings of a carrier on the command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use provisioning_store::model::{NumberFormat, Srtp, Transport, Trust};
use serde::Serialize;
use serde_json::{Map, Value, json};

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
    /// Whether it is told who calls where the number is withheld, to keep it to itself: trusted or untrusted; a new carrier
    /// is trusted.
    #[arg(long)]
    trust: Option<Trust>,
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

/// Fields of a request.
pub(super) type Fields = Map<String, Value>;

/// Puts a field there if it was named.
fn put<T: Serialize>(fields: &mut Fields, name: &str, value: Option<T>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), json!(value));
    }
}

impl Settings {
    /// What is named, as the API calls it.
    pub(super) fn fields(self) -> Result<Fields, Failure> {
        let mut fields = Fields::new();
        if let (Some(user), Some(file)) = (self.user, self.password_file) {
            let proof = json!({ "user": user, "password": password(&file)? });
            fields.insert("authentication".to_owned(), proof);
        }
        put(&mut fields, "port", self.port);
        put(&mut fields, "transport", self.transport);
        put(&mut fields, "priority", self.priority);
        put(&mut fields, "weight", self.weight);
        put(&mut fields, "sources", Some(self.sources).filter(|sources| !sources.is_empty()));
        put(&mut fields, "number_format", self.format);
        put(&mut fields, "country", self.country);
        put(&mut fields, "strip", self.strip);
        put(&mut fields, "prefix", self.prefix);
        put(&mut fields, "srtp", self.srtp);
        put(&mut fields, "trust", self.trust);
        Ok(fields)
    }
}

impl Change {
    /// What is named, as the API calls it; null takes something away.
    pub(super) fn fields(self) -> Result<Fields, Failure> {
        let mut fields = self.settings.fields()?;
        put(&mut fields, "name", self.name);
        put(&mut fields, "host", self.host);
        put(&mut fields, "port", self.no_port.then_some(Value::Null));
        put(&mut fields, "authentication", self.no_user.then_some(Value::Null));
        put(&mut fields, "country", self.no_country.then_some(Value::Null));
        put(&mut fields, "sources", self.no_source.then_some(json!([])));
        Ok(fields)
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

fn password(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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

    fn change(words: &[&str]) -> Value {
        let line =
            Line::try_parse_from([&["change", "up"], words].concat()).unwrap_or_else(|e| panic!("{e}"));
        line.change.fields().unwrap().into()
    }

    #[test]
    fn what_is_not_named_stays() {
        assert_eq!(change(&[]), json!({}));
        let wanted = json!({ "host": "203.0.113.6", "transport": "tls", "priority": 5 });
        assert_eq!(change(&["--host", "203.0.113.6", "--transport", "tls", "--priority", "5"]), wanted);
        assert_eq!(change(&["--source", "198.51.100.0/24"]), json!({ "sources": ["198.51.100.0/24"] }));
    }

    #[test]
    fn what_there_is_can_be_taken_away() {
        assert_eq!(change(&["--country", "us"]), json!({ "country": "US" }));
        assert_eq!(change(&["--no-country"]), json!({ "country": null }));
        assert!(Line::try_parse_from(["change", "up", "--country", "USA"]).is_err());
        let bare = json!({ "port": null, "authentication": null, "sources": [], "prefix": "" });
        assert_eq!(change(&["--no-port", "--no-user", "--no-source", "--prefix", ""]), bare);
        assert!(Line::try_parse_from(["change", "up", "--no-port", "--port", "5060"]).is_err());
    }
}

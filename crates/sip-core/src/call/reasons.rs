//! Reasons (RFC 3326) on their way from one side of a call to the other, in BYE, CANCEL and final responses.

use smallvec::SmallVec;

use crate::message::{Message, MessageWriter, Name, q850_cause_in};
use crate::refusal::Refusal;
use crate::respond;

/// The most of them that are passed on: one a protocol, and there are four.
const PASSED: usize = 8;

/// The most octets of one that are passed on; of a longer one the protocol and the cause are. A message must not grow too
/// long for a datagram by them.
const LONGEST: usize = 256;

/// The most characters of them that are kept for a record.
const SAID: usize = 256;

/// Why something ended: the fields' values in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasons(SmallVec<[String; 2]>);

impl Reasons {
    /// None: nothing is known but that it is over.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// All that a message gives.
    pub(crate) fn of(message: &Message) -> Self {
        let bounded = |reason: &str| match reason.len() {
            0..=LONGEST => Some(reason.to_owned()),
            _ => without_words(reason),
        };
        Self(message.headers(Name::Reason).take(PASSED).filter_map(bounded).collect())
    }

    /// Ours.
    pub(crate) fn ours(why: Refusal) -> Self {
        Self(respond::reasons(why, why.status()).into())
    }

    /// Ours with another cause and status.
    pub(crate) fn ours_for(why: Refusal, cause: u8, status: u16) -> Self {
        Self(respond::reasons_for(why, cause, status).into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Their values, for the operator's eyes: a carrier's words could name it.
    pub(crate) fn said(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.iter().collect::<Vec<_>>().join(", ").chars().take(SAID).collect())
    }

    /// The first Q.850 cause among them.
    pub(crate) fn q850_cause(&self) -> Option<u8> {
        self.iter().find_map(q850_cause_in)
    }

    /// Protocols and causes alone: any word could be a name.
    pub(crate) fn without_words(&self) -> Self {
        Self(self.iter().filter_map(without_words).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, or others where there are none.
    pub(crate) fn or_else(self, others: impl FnOnce() -> Self) -> Self {
        if self.is_empty() { others() } else { self }
    }

    /// Writes each into a field of its own: some user agents read no second value.
    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        for reason in &self.0 {
            writer.header(Name::Reason, reason);
        }
    }
}

/// Protocols whose causes are passed on without their words; any other protocol could be a name itself.
const PROTOCOLS: [&str; 2] = ["Q.850", "SIP"];

/// Protocol and cause of a Reason.
fn without_words(reason: &str) -> Option<String> {
    let (protocol, rest) = reason.split_once(';')?;
    let protocol = PROTOCOLS.iter().find(|known| known.eq_ignore_ascii_case(protocol.trim()))?;
    // Quoted text may hold anything, even what looks like a cause.
    let rest = rest.replace("\\\\", "").replace("\\\"", "");
    let plain: String = rest.split('"').step_by(2).collect();
    let cause = plain.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("cause").then(|| value.trim().parse::<u16>().ok()).flatten()
    })?;
    Some(format!("{protocol};cause={cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, Transport, lex};
    use bytes::Bytes;

    fn bye(fields: &str) -> Message {
        let text = format!("BYE sip:a@b SIP/2.0\r\n{fields}Content-Length: 0\r\n\r\n");
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn written(reasons: &Reasons) -> Vec<String> {
        let mut writer = MessageWriter::request(&Method::Bye, "sip:a@b");
        reasons.write(&mut writer);
        let text = String::from_utf8(writer.finish().to_vec()).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("Reason: ")).map(str::to_owned).collect()
    }

    #[test]
    fn all_pass_each_in_a_field_of_its_own() {
        let one = "Reason: SIP;cause=200;text=\"Call completed elsewhere\", Q.850;cause=26\r\n";
        let reasons = Reasons::of(&bye(&format!("{one}Reason: X.int;cause=1\r\n")));
        assert_eq!(
            written(&reasons),
            ["SIP;cause=200;text=\"Call completed elsewhere\"", "Q.850;cause=26", "X.int;cause=1"]
        );
        assert!(Reasons::of(&bye("")).is_empty());
        let many = "Reason: SIP;cause=1\r\n".repeat(100);
        assert_eq!(written(&Reasons::of(&bye(&many))).len(), PASSED);
        let long = format!("Reason: Q.850;cause=16;text=\"{}\", SIP;cause=200\r\n", "x".repeat(65_000));
        assert_eq!(written(&Reasons::of(&bye(&long))), ["Q.850;cause=16", "SIP;cause=200"]);
    }

    #[test]
    fn without_words_only_protocol_and_cause_pass() {
        for (said, shown) in [
            ("Q.850;cause=34;text=\"Wholesale Inc: no circuit\"", Some("Q.850;cause=34")),
            ("q.850 ; text=\"a;cause=1;\\\"b\" ; cause=16", Some("Q.850;cause=16")),
            ("SIP;cause=603;text=Wholesale", Some("SIP;cause=603")),
            ("Wholesale;cause=1", None),
            ("Q.850;text=\"Wholesale\"", None),
            ("Q.850;cause=wholesale", None),
            ("Q.850", None),
            ("", None),
        ] {
            assert_eq!(without_words(said).as_deref(), shown, "{said}");
        }
        let both = Reasons::of(&bye("Reason: SIP;cause=200;text=\"x\", Q.850;cause=26\r\n"));
        assert_eq!(written(&both.without_words()), ["SIP;cause=200", "Q.850;cause=26"]);
        assert_eq!(both.q850_cause(), Some(26));
    }
}

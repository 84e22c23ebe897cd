//! The Reason of one side, as the other may see it (RFC 3326).
//!
//! A carrier's words could name it, and customers are not told who carries their calls: protocol and cause pass, the text
//! stays with the operator.

use super::{Call, Context};
use crate::directory::Peer;
use crate::message::{Message, Name};
use crate::types::Event;

/// Protocols whose causes are passed on from a carrier; any other word could be its name.
const PROTOCOLS: [&str; 2] = ["Q.850", "SIP"];

impl Call {
    /// The first Reason of a message from this peer, as the other side may see it. A carrier's own words are told to the
    /// operator.
    pub(super) fn reason_in(&self, ctx: &mut Context<'_>, peer: Peer, message: &Message) -> Option<String> {
        let Peer::Carrier(carrier) = peer else { return message.header(Name::Reason).map(str::to_owned) };
        for said in message.headers(Name::Reason) {
            ctx.out.tell(Event::CarrierReason { call: self.uid, carrier, said: said.to_owned() });
        }
        message.headers(Name::Reason).find_map(without_words)
    }
}

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

    #[test]
    fn of_a_carriers_reason_only_protocol_and_cause_pass() {
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
    }
}

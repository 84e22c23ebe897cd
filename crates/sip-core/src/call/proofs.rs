//! Our answers to the callee's challenges (RFC 3261 section 22.2), kept for every later INVITE of the same attempt.

use smallvec::SmallVec;

use crate::auth::digest::Challenge;
use crate::message::{Message, Name};
use crate::rng::Rng;

/// Realms that one attempt may be challenged by: the carrier's own, and proxies on the way to it.
const REALMS_MAX: usize = 4;

/// What an attempt has been challenged with so far.
#[derive(Debug, Default)]
pub(super) struct Proofs(SmallVec<[Proof; 1]>);

/// One realm's challenge, and how often it was answered.
#[derive(Debug)]
struct Proof {
    answers: Name,
    realm: String,
    challenge: String,
    /// Answers given to this nonce.
    count: u32,
    has_been_stale: bool,
}

impl Proofs {
    /// Takes over what a 401 or 407 asks for; `false` if to answer again would say the same again. A nonce that was
    /// only too old is answered once more (RFC 7616 section 3.3: the password was not the fault).
    pub(super) fn accept(&mut self, response: &Message) -> bool {
        let (asks, answers) = match response.status() {
            401 => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        // RFC 8760 section 2.4: the first one that is understood.
        let mut understood =
            response.headers(asks).filter_map(|value| Some((value, Challenge::parse(value).ok()?)));
        let Some((value, challenge)) = understood.next() else { return false };
        let has_room = self.0.len() < REALMS_MAX;
        let known =
            self.0.iter_mut().find(|proof| proof.answers == answers && proof.realm == challenge.realm);
        let proof = Proof {
            answers,
            realm: challenge.realm.to_owned(),
            challenge: value.to_owned(),
            count: 0,
            has_been_stale: known.is_some(),
        };
        match known {
            Some(known) if challenge.is_stale && !known.has_been_stale => *known = proof,
            Some(_) => return false,
            None if has_room => self.0.push(proof),
            None => return false,
        }
        true
    }

    /// The header fields that prove who we are in the next INVITE to `uri`.
    pub(super) fn headers(
        &mut self,
        uri: &str,
        (user, password): (&str, &str),
        rng: &mut Rng,
    ) -> Vec<(Name, String)> {
        let proved = |proof: &mut Proof| {
            proof.count += 1;
            let challenge = Challenge::parse(&proof.challenge).ok()?;
            let value = challenge.answer("INVITE", uri, user, password, &rng.token(), proof.count);
            Some((proof.answers, value))
        };
        self.0.iter_mut().filter_map(proved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest::DigestResponse;
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    fn challenge(status: u16, realm: &str, nonce: &str, more: &str) -> Message {
        let asks = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let text = format!(
            "SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{asks}: Basic realm=\"x\"\r\n\
             {asks}: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\nContent-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn shown(proofs: &mut Proofs) -> Vec<(Name, String, Option<u32>)> {
        let headers = proofs.headers("sip:a@b", ("user", "secret"), &mut Rng::new([7; 32]));
        let read = |(name, value): (Name, String)| {
            let response = DigestResponse::parse(&value).unwrap();
            (name, response.nonce.to_owned(), response.nc)
        };
        headers.into_iter().map(read).collect()
    }

    #[test]
    fn a_nonce_is_counted_and_a_stale_one_is_replaced_once() {
        let mut proofs = Proofs::default();
        assert!(shown(&mut proofs).is_empty());
        assert!(proofs.accept(&challenge(407, "r", "n1", "")));
        assert_eq!(shown(&mut proofs), [(Name::ProxyAuthorization, "n1".into(), Some(1))]);
        assert_eq!(shown(&mut proofs), [(Name::ProxyAuthorization, "n1".into(), Some(2))]);
        assert!(!proofs.accept(&challenge(407, "r", "n2", "")), "the password was wrong");
        assert!(proofs.accept(&challenge(407, "r", "n2", ", stale=TRUE")));
        assert_eq!(shown(&mut proofs), [(Name::ProxyAuthorization, "n2".into(), Some(1))]);
        assert!(!proofs.accept(&challenge(407, "r", "n3", ", stale=true")), "stale for ever");
    }

    #[test]
    fn a_proxy_and_the_carrier_behind_it_are_both_answered() {
        let mut proofs = Proofs::default();
        assert!(proofs.accept(&challenge(407, "proxy", "n1", "")));
        assert!(proofs.accept(&challenge(401, "carrier", "n2", "")));
        let names: Vec<_> = shown(&mut proofs).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, [Name::ProxyAuthorization, Name::Authorization]);
        assert!(!proofs.accept(&challenge(401, "carrier", "n3", ", algorithm=SHA3")), "not understood");
        for realm in ["3", "4"] {
            assert!(proofs.accept(&challenge(407, realm, "n", "")));
        }
        assert!(!proofs.accept(&challenge(407, "5", "n", "")), "no end of realms");
    }
}

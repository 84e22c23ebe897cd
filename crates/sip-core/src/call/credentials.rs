//! What a leg proves itself with: our answers to its peer's challenges (RFC 3261 section 22), whatever method was
//! challenged, kept for every later request of the leg.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::auth::digest::{Challenge, listed, next_nonce};
use crate::directory::{Carrier, Directory, Peer};
use crate::message::{Message, MessageWriter, Method, Name};
use crate::rng::Rng;

/// Realms that one leg may be challenged by: the carrier's own, and proxies on the way to it.
const REALMS_MAX: usize = 4;

/// How often a proof that was refused may be replaced before a request of ours gets through. A nonce that was only too
/// old says nothing against the password (RFC 7616 section 3.3). A new one that is not called stale comes from a server
/// that does not say so, or from one that does not take the password.
const STALE_MAX: u8 = 2;
const UNEXPLAINED_MAX: u8 = 1;

/// Our password at a leg's peer, and what we have been challenged with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// Who has given us a password. A PBX has none for us.
    carrier: Option<Arc<Carrier>>,
    proofs: SmallVec<[Proof; 1]>,
    /// What the latest INVITE has shown: its ACK shows the same (RFC 3261 section 22.1).
    of_invite: Vec<(Name, String)>,
}

/// One realm's challenge, and how often it was answered.
#[derive(Clone, Debug)]
struct Proof {
    answers: Name,
    realm: String,
    challenge: String,
    nonce: String,
    /// Answers given to this nonce.
    count: u32,
    /// How often it was refused since a request got through.
    refusals: u8,
}

impl Credentials {
    pub(crate) fn of(directory: &Directory, peer: Peer) -> Self {
        let carrier = match peer {
            Peer::Carrier(id) => directory.carrier(id).cloned(),
            Peer::Profile(_) => None,
        };
        Self { carrier, ..Self::default() }
    }

    /// Takes over what a 401 or 407 asks for; `false` if another answer would say the same again, or there is no
    /// password. A forking proxy passes the challenges of several realms on in one response (section 22.3).
    pub(crate) fn accept(&mut self, response: &Message) -> bool {
        if self.carrier.as_ref().is_none_or(|carrier| carrier.credentials.is_none()) {
            return false;
        }
        let kinds = [
            (Name::WwwAuthenticate, Name::Authorization),
            (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        ];
        let mut asked: SmallVec<[(Name, &str); 2]> = SmallVec::new();
        for (asks, answers) in kinds {
            for value in response.headers(asks).flat_map(listed) {
                let Ok(challenge) = Challenge::parse(value) else { continue };
                // RFC 8760 section 2.4: of each realm the first one that is understood.
                if asked.contains(&(answers, challenge.realm)) {
                    continue;
                }
                asked.push((answers, challenge.realm));
                if !self.replace(answers, value, &challenge) {
                    return false;
                }
            }
        }
        !asked.is_empty()
    }

    fn replace(&mut self, answers: Name, value: &str, challenge: &Challenge<'_>) -> bool {
        let has_room = self.proofs.len() < REALMS_MAX;
        let mut new = Proof {
            answers,
            realm: challenge.realm.to_owned(),
            challenge: value.to_owned(),
            nonce: challenge.nonce.to_owned(),
            count: 0,
            refusals: 0,
        };
        let is_same = |proof: &&mut Proof| proof.answers == answers && proof.realm == challenge.realm;
        match self.proofs.iter_mut().find(is_same) {
            Some(known) => {
                let limit = match (challenge.is_stale, known.nonce == challenge.nonce) {
                    (true, _) => STALE_MAX,
                    (false, false) => UNEXPLAINED_MAX,
                    (false, true) => 0,
                };
                new.refusals = known.refusals + 1;
                let may_try = new.refusals <= limit;
                if may_try {
                    *known = new;
                }
                may_try
            }
            None if has_room => {
                self.proofs.push(new);
                true
            }
            None => false,
        }
    }

    /// A request got through. The answer may name the nonce to be used next (RFC 7616 section 3.5), if there is one
    /// realm that it can be meant for.
    pub(crate) fn were_taken(&mut self, response: &Message) {
        for proof in &mut self.proofs {
            proof.refusals = 0;
        }
        for (answers, value) in [
            (Name::Authorization, response.header(Name::AuthenticationInfo)),
            (Name::ProxyAuthorization, response.header_named("Proxy-Authentication-Info")),
        ] {
            let mut proofs = self.proofs.iter_mut().filter(|proof| proof.answers == answers);
            if let (Some(proof), None) = (proofs.next(), proofs.next())
                && let Some(nonce) = value.and_then(next_nonce).filter(|nonce| *nonce != proof.nonce)
            {
                nonce.clone_into(&mut proof.nonce);
                proof.count = 0;
            }
        }
    }

    /// The header fields that prove who we are in the next request to `uri`.
    pub(crate) fn shown(&mut self, method: &Method, uri: &str, rng: &mut Rng) -> Vec<(Name, String)> {
        let shown = match (method, self.carrier.as_ref().and_then(|carrier| carrier.credentials.as_ref())) {
            // Nothing can be asked of these: neither waits for an answer that asks.
            (Method::Cancel, _) | (_, None) => return Vec::new(),
            (Method::Ack, _) => return self.of_invite.clone(),
            (_, Some((user, password))) => {
                let proved = |proof: &mut Proof| {
                    proof.count += 1;
                    let challenge = Challenge::parse(&proof.challenge).ok()?;
                    let challenge = Challenge { nonce: &proof.nonce, ..challenge };
                    let cnonce = rng.token();
                    let (method, count) = (method.as_str(), proof.count);
                    Some((proof.answers, challenge.answer(method, uri, user, password, &cnonce, count)))
                };
                self.proofs.iter_mut().filter_map(proved).collect::<Vec<_>>()
            }
        };
        if *method == Method::Invite {
            self.of_invite.clone_from(&shown);
        }
        shown
    }

    /// Writes them.
    pub(crate) fn write(&mut self, writer: &mut MessageWriter, method: &Method, uri: &str, rng: &mut Rng) {
        for (name, value) in self.shown(method, uri, rng) {
            writer.header(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest::DigestResponse;
    use crate::directory::{NumberFormat, carrier_of};
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    fn credentials(password: Option<&str>) -> Credentials {
        let credentials = password.map(|password| ("user".to_owned(), password.to_owned()));
        let carrier = Carrier { credentials, ..carrier_of(None, NumberFormat::E164) };
        Credentials { carrier: Some(Arc::new(carrier)), ..Credentials::default() }
    }

    fn response(status: u16, extra: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status} So\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn asks(status: u16, realm: &str, nonce: &str, more: &str) -> String {
        let asks = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        format!("{asks}: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n")
    }

    fn challenge(status: u16, realm: &str, nonce: &str, more: &str) -> Message {
        response(
            status,
            &format!("WWW-Authenticate: Basic realm=\"x\"\r\n{}", asks(status, realm, nonce, more)),
        )
    }

    fn read(shown: Vec<(Name, String)>) -> Vec<(Name, String, Option<u32>)> {
        let read = |(name, value): (Name, String)| {
            let response = DigestResponse::parse(&value).unwrap();
            (name, response.nonce.to_owned(), response.nc)
        };
        shown.into_iter().map(read).collect()
    }

    fn shown(credentials: &mut Credentials) -> Vec<(Name, String, Option<u32>)> {
        read(credentials.shown(&Method::Bye, "sip:a@b", &mut Rng::new([7; 32])))
    }

    #[test]
    fn a_nonce_is_counted_over_all_requests_and_a_stale_one_is_replaced() {
        let mut own = credentials(Some("secret"));
        assert!(shown(&mut own).is_empty());
        assert!(own.accept(&challenge(407, "r", "n1", "")));
        assert_eq!(shown(&mut own), [(Name::ProxyAuthorization, "n1".into(), Some(1))]);
        assert_eq!(shown(&mut own), [(Name::ProxyAuthorization, "n1".into(), Some(2))]);
        // Each request of a long call may meet a nonce that is too old.
        for nonce in ["n2", "n3", "n4", "n5"] {
            assert!(own.accept(&challenge(407, "r", nonce, ", stale=TRUE")));
            assert_eq!(shown(&mut own), [(Name::ProxyAuthorization, nonce.into(), Some(1))]);
            own.were_taken(&response(200, ""));
        }
        assert!(own.accept(&challenge(407, "r", "n6", ", stale=true")));
        assert!(own.accept(&challenge(407, "r", "n7", ", stale=true")));
        assert!(!own.accept(&challenge(407, "r", "n8", ", stale=true")), "stale for ever");
    }

    #[test]
    fn a_new_nonce_without_stale_is_answered_once_and_the_same_one_never() {
        let mut own = credentials(Some("secret"));
        assert!(own.accept(&challenge(401, "r", "n1", "")));
        assert!(!own.clone().accept(&challenge(401, "r", "n1", "")), "the password was wrong");
        assert!(own.accept(&challenge(401, "r", "n2", "")));
        assert!(!own.accept(&challenge(401, "r", "n3", "")), "the password was wrong");
    }

    #[test]
    fn a_proxy_and_the_carrier_behind_it_are_both_answered() {
        let mut own = credentials(Some("secret"));
        assert!(own.accept(&challenge(407, "proxy", "n1", "")));
        assert!(own.accept(&challenge(401, "carrier", "n2", "")));
        let names: Vec<_> = shown(&mut own).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, [Name::ProxyAuthorization, Name::Authorization]);
        assert!(!own.accept(&challenge(401, "carrier", "n3", ", algorithm=SHA3")), "not understood");
        for realm in ["3", "4"] {
            assert!(own.accept(&challenge(407, realm, "n", "")));
        }
        assert!(!own.accept(&challenge(407, "5", "n", "")), "no end of realms");
    }

    #[test]
    fn several_realms_may_ask_at_once_each_with_what_it_prefers_first() {
        let mut own = credentials(Some("secret"));
        let both = [
            asks(407, "one", "n1", ", algorithm=SHA-256"),
            asks(407, "one", "n2", ", algorithm=MD5"),
            asks(407, "two", "n3", ""),
        ];
        assert!(own.accept(&response(407, &both.concat())));
        let nonces: Vec<_> = shown(&mut own).into_iter().map(|(_, nonce, _)| nonce).collect();
        assert_eq!(nonces, ["n1", "n3"]);
    }

    #[test]
    fn an_ack_shows_what_its_invite_has_shown() {
        let mut own = credentials(Some("secret"));
        assert!(own.accept(&challenge(407, "r", "n1", "")));
        let rng = &mut Rng::new([7; 32]);
        let of_invite = own.shown(&Method::Invite, "sip:a@b", rng);
        own.shown(&Method::Info, "sip:a@b", rng);
        assert_eq!(own.shown(&Method::Ack, "sip:a@b", rng), of_invite);
        assert!(own.shown(&Method::Cancel, "sip:a@b", rng).is_empty());
    }

    #[test]
    fn the_nonce_that_an_answer_names_is_used_next() {
        let mut own = credentials(Some("secret"));
        assert!(own.accept(&challenge(401, "r", "n1", "")));
        assert_eq!(shown(&mut own), [(Name::Authorization, "n1".into(), Some(1))]);
        own.were_taken(&response(200, "Authentication-Info: nextnonce=\"n2\", qop=auth\r\n"));
        assert_eq!(shown(&mut own), [(Name::Authorization, "n2".into(), Some(1))]);
        own.were_taken(&response(200, "Proxy-Authentication-Info: nextnonce=\"n3\"\r\n"));
        assert_eq!(shown(&mut own), [(Name::Authorization, "n2".into(), Some(2))]);
    }

    #[test]
    fn who_has_no_password_answers_nothing() {
        assert!(!credentials(None).accept(&challenge(407, "r", "n1", "")));
        assert!(!Credentials::default().accept(&challenge(407, "r", "n1", "")));
    }
}

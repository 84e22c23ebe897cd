//! Who sent a request: by digest against the directory (RFC 3261 section 22, RFC 8760).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::digest::{self, Algorithm, DigestResponse, Staleness};
use crate::auth::nonce::{CountVerdict, NonceCounts, NonceKey, NonceState};
use crate::bans::{Claim, Hearing};
use crate::directory::{DigestPolicy, Directory, Peer, Profile};
use crate::message::{Message, Name};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::types::{Now, ProfileId};

/// How often a user at one source may answer an old nonce, without a right answer in between, before it is told that it
/// answers nothing else. A PBX may have several requests under way when its nonce grows old.
pub(crate) const STALE_BURST: u32 = 8;

/// The outcome of looking at a request's credentials.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The password was proved.
    Accepted(Peer),
    /// No credentials, or such with an old nonce: ask (again). Never counts against the sender.
    Challenge(Staleness),
    /// Credentials that can never be right, whatever the password is: ask again, and say why.
    Useless {
        /// The user that they name.
        user: String,
        why: Refusal,
        /// Whether they answer a nonce that their sender was given.
        is_answer: bool,
    },
    /// A fresh nonce was answered, and the answer was not looked at: silence is owed.
    Unheard(Hearing),
    /// A fresh nonce was answered wrongly.
    Refused(Claim),
}

/// Where a request carries its credentials, and where we challenge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// REGISTER: 401, WWW-Authenticate, Authorization.
    Registrar,
    /// Everything else: 407, Proxy-Authenticate, Proxy-Authorization. Authorization is read as well, because
    /// some PBXs (3CX) answer with it.
    Gateway,
}

impl Party {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Registrar => 401,
            Self::Gateway => 407,
        }
    }

    pub(crate) fn challenge_header(self) -> Name {
        match self {
            Self::Registrar => Name::WwwAuthenticate,
            Self::Gateway => Name::ProxyAuthenticate,
        }
    }

    fn credentials_headers(self) -> [Name; 2] {
        match self {
            Self::Registrar => [Name::Authorization, Name::ProxyAuthorization],
            Self::Gateway => [Name::ProxyAuthorization, Name::Authorization],
        }
    }

    /// The values of the fields that may carry credentials, the usual one's first.
    pub(crate) fn credentials(self, request: &Message) -> impl Iterator<Item = &str> {
        self.credentials_headers().into_iter().flat_map(|name| request.headers(name)).flat_map(digest::listed)
    }
}

/// Credentials that can never be right, and why.
struct Useless<'a> {
    value: &'a str,
    why: Refusal,
}

/// The credentials for our realm, which may stand among others; `Err` if there are none but useless ones. What cannot be
/// read may have been meant for us, and says more than another's realm.
fn ours<'a>(
    values: impl Iterator<Item = &'a str>,
    realm: &str,
) -> Result<Option<DigestResponse<'a>>, Useless<'a>> {
    let (mut foreign, mut unusable) = (None, None);
    for value in values {
        match DigestResponse::parse(value) {
            Ok(answer) if answer.realm == realm => return Ok(Some(answer)),
            Ok(_) => foreign = foreign.or(Some(Useless { value, why: Refusal::CredentialsRealm })),
            Err(error) => {
                let why = Refusal::of_credentials(error);
                unusable = unusable.or(Some(Useless { value, why }));
            }
        }
    }
    unusable.or(foreign).map_or(Ok(None), Err)
}

/// Issues nonces and checks answers to them; keeps no state but the counts of nonces in use.
#[derive(Debug)]
pub(crate) struct Authenticator {
    key: NonceKey,
    counts: NonceCounts,
}

impl Authenticator {
    pub(crate) fn new(key: [u8; 32], nonces: usize) -> Self {
        Self { key: NonceKey::new(key), counts: NonceCounts::new(nonces) }
    }

    /// Checks the credentials that a request carries for our realm. `before` gives a profile as it was before its
    /// password changed, while the registration made with the old one lives on; `hear` says whether the answer to a
    /// fresh nonce is looked at.
    pub(crate) fn check(
        &mut self,
        now: Now,
        settings: &Settings,
        directory: &Directory,
        (request, party, source): (&Message, Party, IpAddr),
        before: impl Fn(ProfileId) -> Option<Arc<Profile>>,
        hear: impl FnOnce(&Claim) -> Hearing,
    ) -> Verdict {
        let answer = match ours(party.credentials(request), &settings.realm) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Verdict::Challenge(Staleness::Fresh),
            Err(useless) => return self.useless(now, settings, source, useless),
        };
        let lifetime = settings.registration.nonce_lifetime.as_secs();
        let nonce = self.key.check(answer.nonce, now.unix_s, source, lifetime);
        if nonce == NonceState::Foreign {
            // Another server's, or ours from before a restart: a PBX must not be punished for that.
            return Verdict::Challenge(Staleness::Stale);
        }
        if nonce == NonceState::Stale {
            return Verdict::Challenge(Staleness::Stale);
        }
        let user = answer.user();
        if !is_offered(self.policy(directory, user), answer.algorithm) {
            // The challenge may have been made before we knew whose it is; the next one offers what this user is to prove.
            let (user, why) = (user.to_owned(), Refusal::CredentialsAlgorithm);
            return Verdict::Useless { user, why, is_answer: true };
        }
        let claim =
            Claim { user: user.to_owned(), peer: directory.peer_of_user(user), print: print_of(&answer) };
        let hearing = hear(&claim);
        if hearing != Hearing::Heard {
            return Verdict::Unheard(hearing);
        }
        let method = request.method().as_str();
        let is_right = proves_password(settings, directory, claim.peer, &answer, method)
            || claim.peer.and_then(Peer::profile).and_then(before).is_some_and(|old| {
                let ha1 = old.authentication.ha1(answer.algorithm);
                ha1.is_some_and(|ha1| digest::verify(&answer, method, ha1))
            });
        match claim.peer {
            Some(peer) if is_right => match self.counts.note(answer.nonce, answer.nc, now.unix_s, lifetime) {
                CountVerdict::New => Verdict::Accepted(peer),
                CountVerdict::Used => Verdict::Challenge(Staleness::Stale),
            },
            _ => Verdict::Refused(claim),
        }
    }

    /// Says what is wrong with credentials that can never be right.
    fn useless(&self, now: Now, settings: &Settings, source: IpAddr, useless: Useless<'_>) -> Verdict {
        let Useless { value, why } = useless;
        let lifetime = settings.registration.nonce_lifetime.as_secs();
        let nonce = digest::parameter(value, "nonce").unwrap_or_default();
        let is_answer = self.key.check(nonce, now.unix_s, source, lifetime) != NonceState::Foreign;
        let user = digest::user_of(digest::parameter(value, "username").unwrap_or_default()).to_owned();
        Verdict::Useless { user, why, is_answer }
    }

    /// The To tag of an answer that is given without state: the same for every repetition of the request (RFC 3261
    /// section 8.2.7), or the sender would take each for the answer of another device. The ACK to a refusal has what it is
    /// made of too.
    pub(crate) fn stateless_tag(&self, request: &Message, source: IpAddr) -> String {
        let via = request.header(Name::Via).unwrap_or_default();
        let number = request.cseq().map(|(number, _)| number).unwrap_or_default();
        self.key.token(&format!("{via}\n{}\n{number}", request.call_id().unwrap_or_default()), source)
    }

    /// A number that is always the same for one name, and cannot be foretold.
    pub(crate) fn lot(&self, user: &str) -> u64 {
        self.key.lot(user)
    }

    /// What a user is challenged with; somebody unknown as if there were such a user, and always the same.
    pub(crate) fn policy(&self, directory: &Directory, user: &str) -> DigestPolicy {
        directory.policy_of_user(user, self.key.lot(user))
    }

    /// The challenges of a policy, most preferred first (RFC 8760 section 2.3). `salt` is random.
    pub(crate) fn challenges(
        &self,
        now: Now,
        realm: &str,
        policy: DigestPolicy,
        staleness: Staleness,
        source: IpAddr,
        salt: u64,
    ) -> impl Iterator<Item = String> {
        let nonce = self.key.issue(now.unix_s, source, salt);
        algorithms(policy)
            .iter()
            .map(move |&algorithm| digest::challenge_value(realm, &nonce, algorithm, staleness))
    }
}

/// Who a request may claim to be from, the surest first: the user of its credentials for our realm, From, To. Decides
/// what it is challenged with, and nothing else.
pub(crate) fn claimed_users(request: &Message, realm: &str) -> impl Iterator<Item = String> {
    let answers = Party::Gateway.credentials(request).filter_map(|value| DigestResponse::parse(value).ok());
    let proved = answers.filter(move |answer| answer.realm == realm).map(|answer| answer.user().to_owned());
    let named = [request.from(), request.to()].into_iter().flatten();
    proved.chain(named.filter_map(|addr| addr.uri().ok()?.user().map(str::to_owned)))
}

/// Whether a policy challenges with this algorithm.
fn is_offered(policy: DigestPolicy, algorithm: Algorithm) -> bool {
    algorithms(policy).iter().any(|offered| offered.is_sha256() == algorithm.is_sha256())
}

fn algorithms(policy: DigestPolicy) -> &'static [Algorithm] {
    match policy {
        DigestPolicy::Md5 => &[Algorithm::Md5],
        DigestPolicy::Sha256ThenMd5 => &[Algorithm::Sha256, Algorithm::Md5],
        DigestPolicy::Sha256 => &[Algorithm::Sha256],
    }
}

/// Tells one answer from another: a message that was repeated has the same.
fn print_of(answer: &DigestResponse<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (answer.nonce, answer.response).hash(&mut hasher);
    hasher.finish()
}

/// Whether the answer proves the password of whoever has the user name: a profile's, or the one that a carrier shares
/// with its trunk. Whether anybody has it or not, the same hashes are computed, so that the time taken does not tell.
///
/// The user name is hashed as it was sent (RFC 7616 section 3.4.2), so one with a domain has a hash of its own; some user
/// agents send the one and hash the other.
fn proves_password(
    settings: &Settings,
    directory: &Directory,
    peer: Option<Peer>,
    answer: &DigestResponse<'_>,
    method: &str,
) -> bool {
    let (profile, carrier) = match peer {
        Some(Peer::Profile(id)) => (directory.profile(id), None),
        Some(Peer::Carrier(id)) => (None, directory.carrier(id)),
        None => (None, None),
    };
    let credentials = carrier.and_then(|carrier| carrier.credentials.as_ref());
    let own =
        profile.and_then(|profile| directory.password(profile.id)).map(|secret| (answer.user(), secret));
    let shared = credentials.map(|(user, password)| (user.as_str(), password.as_str()));
    let (user, password) = own.or(shared).unwrap_or_else(|| (answer.user(), ""));
    let hash = |user: &str| digest::ha1(answer.algorithm, user, &settings.realm, password);
    let computed = hash(user);
    // What is not offered today was turned away before.
    let stored = profile.and_then(|profile| profile.authentication.ha1(answer.algorithm));
    let is_right = digest::verify(answer, method, stored.unwrap_or(&computed));
    let is_right_as_sent =
        answer.username != answer.user() && digest::verify(answer, method, &hash(answer.username));
    (is_right && (stored.is_some() || credentials.is_some()))
        || (is_right_as_sent && (own.is_some() || credentials.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest::tests::HASHES;
    use crate::directory::{Authentication, CallerId, Carrier, NumberFormat, SrtpPolicy};
    use crate::message::{Transport, lex};
    use crate::types::{CarrierId, CompanyId};
    use bytes::Bytes;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));
    const REALM: &str = "gw.example";
    const MD5: &str = "99050000000001";
    const BOTH: &str = "99050000000002";
    const SHA256: &str = "99050000000003";
    const ADDRESS: &str = "99050000000004";

    std::thread_local! {
        /// Hashes that the last check took.
        static COST: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    fn now(unix_s: u64) -> Now {
        Now { monotonic: crate::timers::testing::start(), unix_s }
    }

    fn directory() -> Directory {
        let mut directory = Directory::new();
        let by_password = |user: &str, digest| Authentication::Registration {
            ha1_md5: digest::ha1(Algorithm::Md5, user, REALM, "secret"),
            ha1_sha256: digest::ha1(Algorithm::Sha256, user, REALM, "secret"),
            digest,
        };
        for (id, user, authentication) in [
            (1, MD5, by_password(MD5, DigestPolicy::Md5)),
            (2, BOTH, by_password(BOTH, DigestPolicy::Sha256ThenMd5)),
            (3, SHA256, by_password(SHA256, DigestPolicy::Sha256)),
            (4, ADDRESS, Authentication::by_address(None)),
        ] {
            directory.add_profile(Profile {
                id: ProfileId(id),
                company: CompanyId(1),
                name: String::new(),
                user: user.to_owned(),
                country: "US".to_owned(),
                authentication,
                number_format: NumberFormat::Digits,
                caller_id: CallerId::default(),
                takes_caller_names: true,
                suspended: None,
                srtp: SrtpPolicy::Auto,
            });
        }
        directory.add_carrier(Carrier {
            id: CarrierId(1),
            name: String::new(),
            host: "carrier.example".to_owned(),
            port: None,
            transport: crate::types::Transport::Udp,
            priority: 1,
            weight: 1,
            credentials: Some(("carrier".to_owned(), "secret".to_owned())),
            number_format: NumberFormat::E164,
            country: None,
            strip: 0,
            prefix: String::new(),
            srtp: SrtpPolicy::Off,
            is_trusted: true,
            media_networks: Arc::default(),
            is_active: true,
        });
        directory
    }

    /// A REGISTER that answers a nonce.
    fn answer(nonce: &str, user: &str, password: &str, algorithm: Algorithm) -> Message {
        let challenge = digest::challenge_value(REALM, nonce, algorithm, Staleness::Fresh);
        let challenge = digest::Challenge::parse(&challenge).unwrap();
        let value = challenge.answer("REGISTER", "sip:gw", user, password, "c", 1);
        let text = format!(
            "REGISTER sip:gw SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:{user}@gw>;tag=1\r\n\
             To: <sip:{user}@gw>\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\nAuthorization: {value}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn check(authenticator: &mut Authenticator, now: Now, message: &Message, source: IpAddr) -> Verdict {
        let (settings, directory) = (Settings::new(REALM, Vec::new()), directory());
        let here = (message, Party::Registrar, source);
        HASHES.set(0);
        let verdict = authenticator.check(now, &settings, &directory, here, |_| None, |_| Hearing::Heard);
        COST.set(HASHES.get());
        verdict
    }

    #[test]
    fn whoever_does_not_exist_costs_as_many_hashes_as_a_wrong_password() {
        let mut authenticator = Authenticator::new([7; 32], 10);
        let mut refused = 0;
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            for user in [MD5, BOTH, SHA256, ADDRESS, "carrier", "nobody", "99050000000007", "99050000000008"]
            {
                let nonce = authenticator.key.issue(1_000, SOURCE, 1);
                let message = answer(&nonce, user, "wrong", algorithm);
                let verdict = check(&mut authenticator, now(1_000), &message, SOURCE);
                let is_offered = is_offered(authenticator.policy(&directory(), user), algorithm);
                assert_eq!(matches!(&verdict, Verdict::Refused(claim) if claim.user == user), is_offered);
                // One for a stored secret, whether or not it is needed, and two for the answer.
                assert_eq!(COST.get(), if is_offered { 3 } else { 0 }, "{user} {verdict:?}");
                refused += u32::from(is_offered);
            }
        }
        assert!(refused >= 8, "{refused}");
    }

    #[test]
    fn only_the_right_password_with_an_allowed_algorithm_is_accepted() {
        let mut authenticator = Authenticator::new([7; 32], 100);
        for (salt, (user, password, algorithm, is_right)) in (0..).zip([
            (MD5, "secret", Algorithm::Md5, true),
            (MD5, "secret", Algorithm::Sha256, false),
            (BOTH, "secret", Algorithm::Sha256, true),
            (SHA256, "secret", Algorithm::Sha256, true),
            (SHA256, "secret", Algorithm::Md5, false),
            ("carrier", "secret", Algorithm::Md5, true),
            ("carrier", "", Algorithm::Md5, false),
            (ADDRESS, "", Algorithm::Md5, false),
            ("nobody", "", Algorithm::Md5, false),
        ]) {
            let nonce = authenticator.key.issue(1_000, SOURCE, salt);
            let message = answer(&nonce, user, password, algorithm);
            let verdict = check(&mut authenticator, now(1_000), &message, SOURCE);
            assert_eq!(
                matches!(verdict, Verdict::Accepted(_)),
                is_right,
                "{user} {algorithm:?}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_nonce_of_another_source_or_time_is_no_guess_even_if_the_answer_is_right() {
        let mut authenticator = Authenticator::new([7; 32], 10);
        let nonce = authenticator.key.issue(1_000, SOURCE, 1);
        for password in ["secret", "wrong"] {
            let message = answer(&nonce, MD5, password, Algorithm::Md5);
            let elsewhere = "203.0.113.67".parse().unwrap();
            for (time, source) in [(1_000, elsewhere), (1_301, SOURCE), (999, SOURCE)] {
                let verdict = check(&mut authenticator, now(time), &message, source);
                assert!(matches!(verdict, Verdict::Challenge(Staleness::Stale)), "{verdict:?}");
            }
        }
    }

    #[test]
    fn names_that_nobody_has_are_challenged_like_those_that_somebody_has() {
        let (authenticator, directory) = (Authenticator::new([7; 32], 10), directory());
        let offers = |user: &str| {
            let all = authenticator.challenges(
                now(1),
                REALM,
                authenticator.policy(&directory, user),
                Staleness::Fresh,
                SOURCE,
                1,
            );
            all.map(|value| digest::Challenge::parse(&value).unwrap().algorithm.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((offers(MD5), offers(SHA256)), (vec!["MD5"], vec!["SHA-256"]));
        assert_eq!(offers(BOTH), ["SHA-256", "MD5"]);
        let unknown: Vec<_> = (0..300).map(|number| offers(&format!("99050099999{number:03}"))).collect();
        for offer in [offers(MD5), offers(BOTH), offers(SHA256)] {
            let share = unknown.iter().filter(|other| **other == offer).count();
            assert!((60..140).contains(&share), "{share} of 300 are offered {offer:?}");
        }
        assert_eq!(unknown[0], offers("99050099999000"), "the same each time");
        assert_eq!((offers("nobody"), offers("carrier")), (vec!["MD5"], vec!["MD5"]));
    }
}

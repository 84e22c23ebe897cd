//! Who sent a request: by digest against the directory (RFC 3261 section 22, RFC 8760).

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::digest::{self, Algorithm, DigestResponse, Staleness};
use crate::auth::nonce::{CountVerdict, NonceCounts, NonceKey, NonceState};
use crate::directory::{Authentication, Carrier, DigestPolicy, Directory, Peer, Profile};
use crate::message::{Message, Name};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::types::{Now, ProfileId};

/// The outcome of looking at a request's credentials.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The password was proved.
    Accepted(Peer),
    /// No credentials of ours, or such with an old nonce: ask (again). Never counts against the sender.
    Challenge(Staleness),
    /// A fresh nonce was answered wrongly.
    Refused {
        /// The user name tried.
        user: String,
        /// The profile, if there is one of that name.
        profile: Option<Arc<Profile>>,
        why: Refusal,
    },
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
    /// password changed, while the registration made with the old one lives on.
    pub(crate) fn check(
        &mut self,
        now: Now,
        settings: &Settings,
        directory: &Directory,
        (request, party, source): (&Message, Party, IpAddr),
        before: impl Fn(ProfileId) -> Option<Arc<Profile>>,
    ) -> Verdict {
        let mut answers = party.credentials_headers().into_iter().flat_map(|name| request.headers(name));
        let Some(answer) = answers.find_map(|value| {
            DigestResponse::parse(value).ok().filter(|answer| answer.realm == settings.realm)
        }) else {
            return Verdict::Challenge(Staleness::Fresh);
        };
        let lifetime = settings.registration.nonce_lifetime.as_secs();
        let nonce = self.key.check(answer.nonce, now.unix_s, source, lifetime);
        if nonce == NonceState::Foreign {
            // Another server's, or ours from before a restart: a PBX must not be punished for that.
            return Verdict::Challenge(Staleness::Stale);
        }
        let user = answer.user().to_owned();
        let peer = directory.peer_of_user(&user);
        let is_offered = match peer {
            Some(Peer::Carrier(_)) => true,
            Some(Peer::Profile(id)) => is_offered(directory.profile(id).map(Arc::as_ref), answer.algorithm),
            None => is_offered(None, answer.algorithm),
        };
        if !is_offered {
            // The challenge was made before we knew whose it is; the next one offers what this user is to prove.
            return Verdict::Challenge(Staleness::Fresh);
        }
        let method = request.method().as_str();
        let is_right = match peer {
            Some(Peer::Carrier(id)) => directory
                .carrier(id)
                .is_some_and(|carrier| carrier_proves(carrier, settings, &answer, method)),
            Some(Peer::Profile(id)) => {
                let profile = directory.profile(id);
                proves_password(profile.map(Arc::as_ref), &answer, method)
                    || before(id).is_some_and(|old| proves_password(Some(&old), &answer, method))
            }
            None => proves_password(None, &answer, method),
        };
        match peer {
            _ if nonce == NonceState::Stale => Verdict::Challenge(Staleness::Stale),
            Some(peer) if is_right => match self.counts.note(answer.nonce, answer.nc, now.unix_s, lifetime) {
                CountVerdict::New => Verdict::Accepted(peer),
                CountVerdict::Used => Verdict::Challenge(Staleness::Stale),
            },
            Some(Peer::Profile(id)) => {
                let profile = directory.profile(id).cloned();
                Verdict::Refused { user, profile, why: Refusal::BadCredentials }
            }
            Some(Peer::Carrier(_)) | None => {
                Verdict::Refused { user, profile: None, why: Refusal::UnknownUser }
            }
        }
    }

    /// The To tag of an answer that is given without state: the same for every repetition of the request (RFC 3261
    /// section 8.2.7), or the sender would take each for the answer of another device.
    pub(crate) fn stateless_tag(&self, request: &Message, source: IpAddr) -> String {
        let via = request.header(Name::Via).unwrap_or_default();
        let number = request.header(Name::CSeq).unwrap_or_default();
        self.key.token(&format!("{via}\n{}\n{number}", request.call_id().unwrap_or_default()), source)
    }

    /// The challenges for `profile`, or for somebody unknown, most preferred first (RFC 8760 section 2.3). `salt`
    /// is random.
    pub(crate) fn challenges(
        &self,
        now: Now,
        realm: &str,
        profile: Option<&Profile>,
        staleness: Staleness,
        source: IpAddr,
        salt: u64,
    ) -> impl Iterator<Item = String> {
        let nonce = self.key.issue(now.unix_s, source, salt);
        algorithms(profile)
            .iter()
            .map(move |&algorithm| digest::challenge_value(realm, &nonce, algorithm, staleness))
    }
}

/// Who a request may claim to be from, the surest first: the user of its credentials for our realm, From, To. Decides
/// what it is challenged with, and nothing else.
pub(crate) fn claimed_users(request: &Message, realm: &str) -> impl Iterator<Item = String> {
    let headers = Party::Gateway.credentials_headers().into_iter().flat_map(|name| request.headers(name));
    let answers = headers.filter_map(|value| DigestResponse::parse(value).ok());
    let proved = answers.filter(move |answer| answer.realm == realm).map(|answer| answer.user().to_owned());
    let named = [request.from(), request.to()].into_iter().flatten();
    proved.chain(named.filter_map(|addr| addr.uri().ok()?.user().map(str::to_owned)))
}

/// Whether the profile, or somebody unknown, is challenged with this algorithm.
fn is_offered(profile: Option<&Profile>, algorithm: Algorithm) -> bool {
    algorithms(profile).iter().any(|offered| offered.is_sha256() == algorithm.is_sha256())
}

fn algorithms(profile: Option<&Profile>) -> &'static [Algorithm] {
    let policy = match profile.map(|p| &p.authentication) {
        Some(Authentication::Registration { digest, .. }) => *digest,
        _ => DigestPolicy::default(),
    };
    match policy {
        DigestPolicy::Md5 => &[Algorithm::Md5],
        DigestPolicy::Sha256ThenMd5 => &[Algorithm::Sha256, Algorithm::Md5],
        DigestPolicy::Sha256 => &[Algorithm::Sha256],
    }
}

/// Whether the answer proves the password that a trunk shares with its carrier: the one it challenges us for.
fn carrier_proves(carrier: &Carrier, settings: &Settings, answer: &DigestResponse<'_>, method: &str) -> bool {
    let Some((user, password)) = &carrier.credentials else { return false };
    let ha1 = digest::ha1(answer.algorithm, user, &settings.realm, password);
    digest::verify(answer, method, &ha1)
}

/// Whether the answer proves the profile's password. The same work is done for an unknown user, so that the time
/// taken says nothing about which users exist.
fn proves_password(profile: Option<&Profile>, answer: &DigestResponse<'_>, method: &str) -> bool {
    let is_sha256 = answer.algorithm.is_sha256();
    let nobody = "0".repeat(if is_sha256 { 64 } else { 32 });
    let ha1 = match profile.map(|p| &p.authentication) {
        Some(Authentication::Registration { ha1_md5, ha1_sha256, digest }) => match (is_sha256, digest) {
            (true, DigestPolicy::Md5) | (false, DigestPolicy::Sha256) => None,
            (true, _) => Some(ha1_sha256),
            (false, _) => Some(ha1_md5),
        },
        _ => None,
    };
    let is_right = digest::verify(answer, method, ha1.unwrap_or(&nobody));
    is_right && ha1.is_some()
}

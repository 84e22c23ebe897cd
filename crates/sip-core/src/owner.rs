//! Whose request it is: one decision, in a written order.
//!
//! A sender may be known without a password: by the certificate that it has shown on its connection, or by its address.
//! Addresses are shared, moved and claimed by others, and certificates are shared by the profiles of one PBX. So what
//! speaks for another profile counts first, and then only a password tells:
//!
//! 1. **Flow**: another profile's PBX has registered over it, or proved its password over it.
//! 2. **Proof**: the request's credentials name another profile.
//! 3. **From** names another profile. So does every name in the shape of a user name, whether or not there is such a
//!    user: the answer must not tell which users exist.
//! 4. **History**: a profile of another company has proved its password at the host within the last month.
//! 5. **Silence**: of late, too many calls from the profile's address were answered without a sign that anybody there
//!    had made them (see `call/confirmation.rs`). Only datagrams can be forged, so a certificate is not doubted by that.
//! 6. **Certificate**: the request is of the peer whose certificate was shown on the connection.
//! 7. **Address**: it is of the peer whose rule matches. A claim that waits for confirmation counts at those addresses
//!    where the claimant has proved its password.
//!
//! Carriers' addresses are set up by operators and no company can claim them, so a carrier is doubted by 1 to 3 alone.

use crate::auth::DigestResponse;
use crate::authenticator::Party;
use crate::directory::{Directory, Peer, is_user_name};
use crate::gateway::Gateway;
use crate::history::{Nearness, Proved};
use crate::message::Message;
use crate::types::{Doubt, Flow, Now, ProfileId, Transport};

/// Whose request it is, before any password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This peer's, without a password.
    Known(Peer),
    /// This peer is known there, but something speaks for another: only a password tells.
    Doubted(Peer, Doubt),
    /// Nobody is known there.
    Unknown,
}

/// All that a request and its flow say of its owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs<'a> {
    /// The profiles whose PBXs have registered over the flow.
    pub(crate) bound: Vec<ProfileId>,
    /// The user names in the request's credentials.
    pub(crate) credentials: Vec<Named<'a>>,
    /// The user part of From, without escapes.
    pub(crate) from: Option<String>,
    /// The profiles that have proved their passwords at the host.
    pub(crate) proved: Vec<Proved>,
    /// Whether datagrams from the profile known by its address may be forged.
    pub(crate) is_forged: bool,
    /// Who is known by the certificate that was shown on the connection.
    pub(crate) certificate: Option<Peer>,
    /// Who is known by the address.
    pub(crate) address: Option<Peer>,
}

/// A user name in credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) user: &'a str,
    /// Whether they are for our realm: names of another have no meaning here, unless they have the shape of ours.
    pub(crate) is_ours: bool,
}

/// The decision.
pub(crate) fn decide(directory: &Directory, signs: &Signs<'_>) -> Owner {
    let Some(known) = signs.certificate.or(signs.address) else { return Owner::Unknown };
    match doubt(directory, signs, known) {
        Some(doubt) => Owner::Doubted(known, doubt),
        None => Owner::Known(known),
    }
}

/// What speaks for another than who is known there.
fn doubt(directory: &Directory, signs: &Signs<'_>, known: Peer) -> Option<Doubt> {
    let is_another = |profile: ProfileId| Peer::Profile(profile) != known;
    let is_near = |it: &Proved| is_another(it.profile) && it.nearness == Nearness::SameFlow;
    if signs.bound.iter().any(|profile| is_another(*profile)) || signs.proved.iter().any(is_near) {
        Some(Doubt::Flow)
    } else if signs.credentials.iter().any(|named| names_another(directory, known, *named)) {
        Some(Doubt::Credentials)
    } else if signs.from.as_deref().is_some_and(|user| has_anothers_shape(directory, known, user)) {
        Some(Doubt::From)
    } else if signs.proved.iter().any(|it| is_of_another_company(directory, known, it.profile)) {
        Some(Doubt::History)
    } else if signs.is_forged && signs.certificate.is_none() {
        Some(Doubt::Unconfirmed)
    } else {
        None
    }
}

fn names_another(directory: &Directory, known: Peer, named: Named<'_>) -> bool {
    let is_anothers = || directory.peer_of_user(named.user).is_some_and(|peer| peer != known);
    has_anothers_shape(directory, known, named.user) || named.is_ours && is_anothers()
}

/// Whether a name has the shape of a profile's user name and is not that of who is known there.
fn has_anothers_shape(directory: &Directory, known: Peer, user: &str) -> bool {
    let own = known.profile().and_then(|id| directory.profile(id)).map(|profile| profile.user.as_str());
    is_user_name(user) && own != Some(user)
}

/// Whether a profile that has proved its password at the host is of another company than the profile known there. Phones
/// make no calls but over the flow on which they have registered.
fn is_of_another_company(directory: &Directory, known: Peer, proved: ProfileId) -> bool {
    let company = |id| directory.profile(id).map(|profile| profile.company);
    match (known, company(proved)) {
        (Peer::Profile(known), Some(owner)) if !proved.is_phone() => company(known) != Some(owner),
        _ => false,
    }
}

impl Gateway {
    /// Whose a request is that opens something: who is known there, and whether anything speaks for another.
    pub(crate) fn owner(&self, now: Now, flow: Flow, request: &Message) -> Owner {
        let certificate = self.certified.proved_peer(flow);
        let address = self.peer_by_address(now, flow);
        if certificate.or(address).is_none() {
            return Owner::Unknown;
        }
        let from =
            request.from().and_then(|from| from.uri().ok()?.user_decoded().map(|user| user.into_owned()));
        let is_forged = flow.transport == Transport::Udp
            && address
                .and_then(Peer::profile)
                .is_some_and(|id| self.unconfirmed.is_exhausted(now.monotonic, id));
        let signs = Signs {
            is_forged,
            bound: self.registrar.profiles_at(flow).collect(),
            credentials: self.named_in(request).collect(),
            from,
            proved: self.history.at(now.monotonic, flow).collect(),
            certificate,
            address,
        };
        decide(&self.directory, &signs)
    }

    fn named_in<'a>(&'a self, request: &'a Message) -> impl Iterator<Item = Named<'a>> {
        let answers =
            Party::Gateway.credentials(request).filter_map(|value| DigestResponse::parse(value).ok());
        answers.map(|answer| Named { user: answer.user(), is_ours: answer.realm == self.settings.realm })
    }

    /// Who speaks from here without having to prove a password: by certificate or address.
    pub(crate) fn known_peer(&self, now: Now, flow: Flow) -> Option<Peer> {
        self.certified.proved_peer(flow).or_else(|| self.peer_by_address(now, flow))
    }

    /// Who is known by the address alone: by a rule in force, or by a claim that waits, where the claimant has proved its
    /// password.
    fn peer_by_address(&self, now: Now, flow: Flow) -> Option<Peer> {
        let in_force = self.directory.peer_at(flow.peer, flow.transport);
        in_force.or_else(|| {
            // Of the claimants and of those that proved a password here, either may be many. Strangers' hosts have no proof.
            let mut least = ProfileId(i64::MIN);
            loop {
                let proved = self.history.first_at(now.monotonic, flow, least)?;
                least = self.directory.first_claimant(proved)?;
                if least == proved {
                    if self.directory.profile(proved).is_some_and(|profile| profile.claims(flow)) {
                        return Some(Peer::Profile(proved));
                    }
                    least = proved.next()?;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Authentication, CallerId, DigestPolicy, Profile, profile_of};
    use crate::types::{CarrierId, CompanyId};

    /// Who may be meant: the claimant, another profile of its company, one of another company, another company's phone,
    /// and a carrier.
    const CLAIMANT: ProfileId = ProfileId(1);
    const COLLEAGUE: ProfileId = ProfileId(2);
    const OTHER: ProfileId = ProfileId(3);
    const PHONE: ProfileId = ProfileId(-4);
    const CARRIER: Peer = Peer::Carrier(CarrierId(7));
    /// The shape of a user name that nobody has.
    const NOBODY: &str = "99050000000999";

    fn user(profile: ProfileId) -> String {
        if profile.is_phone() { "vanessa".to_owned() } else { format!("9905000000000{}", profile.0) }
    }

    fn directory() -> Directory {
        let mut directory = Directory::new();
        let by_password = || Authentication::Registration {
            ha1_md5: "md5".into(),
            ha1_sha256: "sha256".into(),
            digest: DigestPolicy::Md5,
        };
        for (id, company, authentication) in [
            (CLAIMANT, 1, Authentication::by_address(None)),
            (COLLEAGUE, 1, by_password()),
            (OTHER, 2, by_password()),
            (PHONE, 2, by_password()),
        ] {
            directory.add_profile(Profile {
                id,
                company: CompanyId(company),
                user: user(id),
                authentication,
                ..profile_of(CallerId::default())
            });
        }
        directory
    }

    /// One thing that a request or its flow may say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Sign {
        Nothing,
        Bound(ProfileId),
        Credentials(ProfileId, Realm),
        CredentialsOfNobody,
        From(ProfileId),
        FromNobody,
        FromNumber,
        Proved(ProfileId, Nearness),
        Forged,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Realm {
        Ours,
        Foreign,
    }

    fn all_signs() -> Vec<Sign> {
        let whom = [CLAIMANT, COLLEAGUE, OTHER, PHONE];
        let of = |id| {
            [
                Sign::Bound(id),
                Sign::Credentials(id, Realm::Ours),
                Sign::Credentials(id, Realm::Foreign),
                Sign::From(id),
                Sign::Proved(id, Nearness::SameFlow),
                Sign::Proved(id, Nearness::SameHost),
            ]
        };
        let nobodys =
            [Sign::Nothing, Sign::CredentialsOfNobody, Sign::FromNobody, Sign::FromNumber, Sign::Forged];
        whom.into_iter().flat_map(of).chain(nobodys).collect()
    }

    /// What the written order says of one sign: which doubt it raises about who is known there.
    fn expected(sign: Sign, known: Peer, is_certified: bool) -> Option<Doubt> {
        let is_another = |id: ProfileId| Peer::Profile(id) != known;
        let is_claimed = known != CARRIER;
        match sign {
            Sign::Nothing | Sign::FromNumber => None,
            Sign::Bound(id) | Sign::Proved(id, Nearness::SameFlow) => is_another(id).then_some(Doubt::Flow),
            Sign::CredentialsOfNobody => Some(Doubt::Credentials),
            // A phone's name is like any other word where the realm is not ours.
            Sign::Credentials(PHONE, Realm::Foreign) => None,
            Sign::Credentials(id, _) => is_another(id).then_some(Doubt::Credentials),
            Sign::FromNobody => Some(Doubt::From),
            // Companies choose the names of phones: they take no calls from PBXs whose users are called the same.
            Sign::From(PHONE) => None,
            Sign::From(id) => is_another(id).then_some(Doubt::From),
            // A phone calls over the flow on which it has registered alone.
            Sign::Proved(PHONE, Nearness::SameHost) => None,
            Sign::Proved(id, Nearness::SameHost) => {
                let is_of_another_company = (id == OTHER) != (known == Peer::Profile(OTHER));
                (is_claimed && is_of_another_company).then_some(Doubt::History)
            }
            Sign::Forged => (!is_certified).then_some(Doubt::Unconfirmed),
        }
    }

    fn add<'a>(signs: &mut Signs<'a>, sign: Sign, users: &'a [String; 4]) {
        let name = |id: ProfileId| users[usize::try_from(id.0.unsigned_abs() - 1).unwrap()].as_str();
        match sign {
            Sign::Nothing => {}
            Sign::Bound(id) => signs.bound.push(id),
            Sign::Credentials(id, realm) => {
                signs.credentials.push(Named { user: name(id), is_ours: realm == Realm::Ours });
            }
            Sign::CredentialsOfNobody => signs.credentials.push(Named { user: NOBODY, is_ours: true }),
            Sign::From(id) => signs.from = Some(name(id).to_owned()),
            Sign::FromNobody => signs.from = Some(NOBODY.to_owned()),
            Sign::FromNumber => signs.from = Some("+12025550123".to_owned()),
            Sign::Proved(profile, nearness) => signs.proved.push(Proved { profile, nearness }),
            Sign::Forged => signs.is_forged = true,
        }
    }

    /// Every way to be known without a password: by certificate, by address, by both, with whatever each of them says.
    fn all_known() -> Vec<(Option<Peer>, Option<Peer>)> {
        let peers = [None, Some(Peer::Profile(CLAIMANT)), Some(Peer::Profile(OTHER)), Some(CARRIER)];
        peers.into_iter().flat_map(|certificate| peers.map(|address| (certificate, address))).collect()
    }

    #[test]
    fn every_pair_of_owners_meets_every_kind_of_claim() {
        let directory = directory();
        let users = [CLAIMANT, COLLEAGUE, OTHER, PHONE].map(user);
        let mut seen = 0;
        for (certificate, address) in all_known() {
            for (first, second) in
                all_signs().into_iter().flat_map(|one| all_signs().into_iter().map(move |other| (one, other)))
            {
                let mut signs = Signs { certificate, address, ..Signs::default() };
                add(&mut signs, first, &users);
                add(&mut signs, second, &users);
                // A request has one From.
                let first = if matches!(second, Sign::From(_) | Sign::FromNobody | Sign::FromNumber)
                    && matches!(first, Sign::From(_) | Sign::FromNobody | Sign::FromNumber)
                {
                    Sign::Nothing
                } else {
                    first
                };
                let owner = match certificate.or(address) {
                    None => Owner::Unknown,
                    Some(known) => {
                        let order = [
                            Doubt::Flow,
                            Doubt::Credentials,
                            Doubt::From,
                            Doubt::History,
                            Doubt::Unconfirmed,
                        ];
                        let raised = [first, second].map(|sign| expected(sign, known, certificate.is_some()));
                        let strongest = order.into_iter().find(|doubt| raised.contains(&Some(*doubt)));
                        strongest.map_or(Owner::Known(known), |doubt| Owner::Doubted(known, doubt))
                    }
                };
                assert_eq!(
                    decide(&directory, &signs),
                    owner,
                    "{certificate:?} {address:?} {first:?} {second:?}"
                );
                seen += 1;
            }
        }
        assert_eq!(seen, 16 * 29 * 29);
    }
}

//! Offer and answer for both legs at once: what one peer says, and what the other leg is told in its place.
//!
//! Each leg has its own keys, made once per suite and kept over re-offers, so that a refresh changes nothing.
//! A key that was in use and is replaced is never used again.
//!
//! Where encryption is optional (RFC 8643) the answer decides about it, not the packets: one that fails
//! authentication proves nothing about its sender, and taking it for plain RTP would be noise at full volume.

use super::Side;
use super::description::{
    Endpoint, LocalDescription, NegotiationError, Policy, Profile, Remote, RemoteDescription, Role, Security,
    Terms,
};
use super::hosts::Hosts;
use super::renumber::Payload;
use crate::sdes::{Choice, CryptoLine, choose};
use crate::srtp::suite::MAX_MASTER;
use crate::srtp::{Keys, Suite};
use std::net::SocketAddr;

/// A source of random octets for keys.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// The suites in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suites {
    /// Written into our offers, in this order. Each costs about 90 octets of an INVITE.
    pub offered: Vec<Suite>,
    /// Accepted in peers' offers.
    pub accepted: Vec<Suite>,
}

impl Default for Suites {
    fn default() -> Self {
        // The first is what every phone has, and some look at the first line only.
        let offered = vec![Suite::AesCm128Sha1Tag80, Suite::AeadAes256Gcm, Suite::AesCm128Sha1Tag32];
        Self { offered, accepted: Suite::ALL.to_vec() }
    }
}

/// An offer that a peer made.
#[derive(Clone)]
struct Heard {
    remote: Remote,
    hosts: Hosts,
    payloads: Vec<Payload>,
    profile: Profile,
    /// The line that our answer will take.
    line: Option<CryptoLine>,
}

/// An offer that we made to a peer.
#[derive(Clone)]
struct Asked {
    profile: Profile,
    is_mux: bool,
    lines: Vec<CryptoLine>,
}

/// One leg's part.
#[derive(Clone)]
struct Party {
    /// How its peer is offered media.
    policy: Policy,
    local: Endpoint,
    own: Vec<Keys>,
    heard: Option<Heard>,
    asked: Option<Asked>,
    agreed: Option<(Profile, Terms)>,
}

/// Where the exchange stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// An offer waits for its answer, or has only an early one.
    Open,
    /// Nothing is pending.
    Settled,
}

/// The media descriptions of one call.
pub struct Negotiation {
    suites: Suites,
    parties: [Option<Party>; 2],
    stage: Stage,
    before: Option<Box<[Option<Party>; 2]>>,
}

impl Negotiation {
    /// Nothing agreed, no legs.
    #[must_use]
    pub fn new(suites: Suites) -> Self {
        Self { suites, parties: [None, None], stage: Stage::Settled, before: None }
    }

    /// Gives a side a new peer with fresh keys: at the start, and when a call is tried elsewhere.
    pub fn set_party(&mut self, side: Side, policy: Policy, local: Endpoint) {
        let party = Party { policy, local, own: Vec::new(), heard: None, asked: None, agreed: None };
        if let Some(before) = &mut self.before {
            // A rollback must not bring back the peer that was left.
            before[side.index()] = Some(party.clone());
        }
        self.parties[side.index()] = Some(party);
    }

    /// What a side has agreed to, if it has.
    #[must_use]
    pub fn terms(&self, side: Side) -> Option<&Terms> {
        self.parties[side.index()].as_ref()?.agreed.as_ref().map(|(_, terms)| terms)
    }

    /// Where a side's media is received, if there is such a leg.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> Option<Endpoint> {
        self.parties[side.index()].as_ref().map(|party| party.local)
    }

    /// Was this side's address told to its peer, in an offer or an answer?
    #[must_use]
    pub fn is_told(&self, side: Side) -> bool {
        let party = self.parties[side.index()].as_ref();
        party.is_some_and(|party| party.asked.is_some() || party.agreed.is_some())
    }

    /// Takes a description that came from `from` and gives the one for the other leg. On an error nothing has
    /// changed. After an answer the [`terms`](Self::terms) of both sides are new.
    ///
    /// # Errors
    /// Says why the description must be refused.
    pub fn describe(
        &mut self,
        from: Side,
        role: Role,
        remote: &RemoteDescription,
        random: Random<'_>,
    ) -> Result<LocalDescription, NegotiationError> {
        match role {
            Role::Offer => {
                self.party(from)?;
                let heard = hear_offer(remote, &self.suites)?;
                self.party(from.other())?;
                self.open();
                self.party_mut(from).hear(heard);
                let offered = self.suites.offered.clone();
                Ok(self.party_mut(from.other()).ask(remote.is_mux, &offered, random))
            }
            Role::EarlyAnswer | Role::Answer => {
                let terms = self.party(from)?.hear_answer(remote)?;
                if self.party(from.other())?.heard.is_none() {
                    return Err(NegotiationError::NoOffer);
                }
                self.party_mut(from).agree(terms);
                let answer = self.party_mut(from.other()).answer(random).ok_or(NegotiationError::NoOffer)?;
                self.close(role);
                Ok(answer)
            }
        }
    }

    /// Answers a side's offer without the other leg: at the echo endpoint, or where it does not concern that one. What
    /// the side was asked before may still be answered.
    ///
    /// # Errors
    /// Says why the offer must be refused.
    pub fn answer_alone(
        &mut self,
        side: Side,
        remote: &RemoteDescription,
        random: Random<'_>,
    ) -> Result<LocalDescription, NegotiationError> {
        self.party(side)?;
        let heard = hear_offer(remote, &self.suites)?;
        self.open();
        let party = self.party_mut(side);
        party.heard = Some(heard);
        let answer = party.answer(random).ok_or(NegotiationError::NoOffer)?;
        self.close(Role::Answer);
        Ok(answer)
    }

    /// Makes an offer to a side without another leg: the echo endpoint, called without an offer.
    ///
    /// # Errors
    /// There is no such leg.
    pub fn offer_alone(
        &mut self,
        side: Side,
        random: Random<'_>,
    ) -> Result<LocalDescription, NegotiationError> {
        self.party(side)?;
        self.open();
        let offered = self.suites.offered.clone();
        Ok(self.party_mut(side).ask(true, &offered, random))
    }

    /// Takes the answer to [`offer_alone`](Self::offer_alone); gives our end as it was agreed.
    ///
    /// # Errors
    /// Says why the answer must be refused.
    pub fn accept_alone(
        &mut self,
        side: Side,
        remote: &RemoteDescription,
    ) -> Result<LocalDescription, NegotiationError> {
        let (profile, terms) = self.party(side)?.hear_answer(remote)?;
        let is_mux = terms.remote.is_mux;
        self.party_mut(side).agree((profile, terms));
        self.close(Role::Answer);
        Ok(self.party(side)?.local(profile, is_mux, Multiplexing::Agreed, Vec::new()))
    }

    /// Takes back an exchange that was refused: everything is as before its offer. Says whether there was one.
    pub fn rollback(&mut self) -> bool {
        if self.stage == Stage::Settled {
            return false;
        }
        self.stage = Stage::Settled;
        match self.before.take() {
            Some(before) => {
                self.parties = *before;
                true
            }
            None => false,
        }
    }

    fn open(&mut self) {
        // An offer after an unanswered one is a second try (another carrier); before means before the first.
        if self.stage == Stage::Settled {
            self.before = Some(Box::new(self.parties.clone()));
            self.stage = Stage::Open;
        }
    }

    fn close(&mut self, role: Role) {
        if role == Role::Answer {
            self.stage = Stage::Settled;
            self.before = None;
        }
    }

    fn party(&self, side: Side) -> Result<&Party, NegotiationError> {
        self.parties[side.index()].as_ref().ok_or(NegotiationError::NoOffer)
    }

    fn party_mut(&mut self, side: Side) -> &mut Party {
        self.parties[side.index()].as_mut().expect("party() was asked before")
    }
}

impl Party {
    /// Makes a peer's offer the pending one: what was asked of it before is not to be answered any more.
    fn hear(&mut self, offer: Heard) {
        self.heard = Some(offer);
        self.asked = None;
    }

    /// Reads the answer to our offer.
    fn hear_answer(&self, remote: &RemoteDescription) -> Result<(Profile, Terms), NegotiationError> {
        let asked = self.asked.as_ref().ok_or(NegotiationError::NoOffer)?;
        let suites: Vec<Suite> = asked.lines.iter().map(|line| line.keys.suite()).collect();
        let security = match (asked.profile, choose(&remote.crypto, &suites)) {
            _ if asked.lines.is_empty() && remote.profile == Profile::Savp => {
                return Err(NegotiationError::SecureRefused);
            }
            _ if asked.lines.is_empty() => None,
            (_, Choice::Taken(line)) => {
                Some(asked.secured_by(*line).ok_or(NegotiationError::NoCommonCrypto)?)
            }
            // A stream refused with port 0 needs no key.
            (_, Choice::Absent) if remote.rtp_port == 0 => None,
            (Profile::Savp, Choice::Absent) => return Err(NegotiationError::SecureRequired),
            (Profile::Avp, Choice::Absent) if remote.profile == Profile::Savp => {
                return Err(NegotiationError::NoKey);
            }
            (Profile::Avp, Choice::Absent) => None,
            (_, Choice::Unusable(_)) => return Err(NegotiationError::NoCommonCrypto),
        };
        let is_mux = remote.is_mux && asked.is_mux;
        let (hosts, payloads) = (read_hosts(remote), remote.payloads.clone());
        let terms = Terms { remote: read_remote(remote, is_mux), hosts, security, payloads };
        Ok((asked.profile, terms))
    }

    /// Writes an offer to this leg's peer.
    fn ask(&mut self, is_mux: bool, offered: &[Suite], random: Random<'_>) -> LocalDescription {
        // A leg keeps what it has: the suite and key in use, or plain RTP where the peer chose that.
        let (profile, suites) = match &self.agreed {
            Some((profile, Terms { security: Some(security), .. })) => {
                (*profile, vec![security.send.suite()])
            }
            Some((_, Terms { security: None, .. })) => (Profile::Avp, Vec::new()),
            None => match self.policy {
                Policy::Off => (Profile::Avp, Vec::new()),
                Policy::Optional => (Profile::Avp, offered.to_vec()),
                Policy::Required => (Profile::Savp, offered.to_vec()),
            },
        };
        let lines: Vec<CryptoLine> = (1..)
            .zip(suites)
            .map(|(tag, suite)| CryptoLine { tag, keys: self.own_keys(suite, random) })
            .collect();
        let crypto = lines.iter().map(CryptoLine::to_string).collect();
        self.heard = None;
        self.asked = Some(Asked { profile, is_mux, lines });
        self.local(profile, is_mux, Multiplexing::Offered, crypto)
    }

    /// Writes the answer to this leg's offer, and agrees to it. `None` if there was no offer.
    fn answer(&mut self, random: Random<'_>) -> Option<LocalDescription> {
        let heard = self.heard.clone()?;
        let ours = heard
            .line
            .as_ref()
            .map(|line| CryptoLine { tag: line.tag, keys: self.own_keys(line.keys.suite(), random) });
        let crypto = ours.iter().map(CryptoLine::to_string).collect();
        let security =
            heard.line.zip(ours).map(|(theirs, ours)| Security { send: ours.keys, receive: theirs.keys });
        let terms = Terms { remote: heard.remote, hosts: heard.hosts, security, payloads: heard.payloads };
        self.agree((heard.profile, terms));
        Some(self.local(heard.profile, heard.remote.is_mux, Multiplexing::Agreed, crypto))
    }

    fn agree(&mut self, agreed: (Profile, Terms)) {
        let sent = |terms: &Terms| terms.security.as_ref().map(|security| security.send.clone());
        let before = self.agreed.as_ref().and_then(|(_, terms)| sent(terms));
        if before != sent(&agreed.1) {
            // A key that packets went out under is not offered again once it was left.
            self.own.retain(|keys| Some(keys) != before.as_ref());
        }
        self.agreed = Some(agreed);
    }

    fn own_keys(&mut self, suite: Suite, random: Random<'_>) -> Keys {
        if let Some(keys) = self.own.iter().find(|keys| keys.suite() == suite) {
            return keys.clone();
        }
        let mut master = [0; MAX_MASTER];
        random(&mut master);
        let keys = Keys::from_random(suite, &master);
        self.own.push(keys.clone());
        keys
    }

    fn local(
        &self,
        profile: Profile,
        is_mux: bool,
        multiplexing: Multiplexing,
        crypto: Vec<String>,
    ) -> LocalDescription {
        // RFC 5761, 5.1.1: an offer names a separate port too, in case the peer does not multiplex.
        let rtcp_port = match multiplexing {
            Multiplexing::Agreed if is_mux => self.local.rtp_port,
            _ => self.local.rtcp_port,
        };
        LocalDescription {
            ip: self.local.ip,
            rtp_port: self.local.rtp_port,
            rtcp_port,
            is_mux,
            profile,
            crypto,
        }
    }
}

#[derive(Clone, Copy)]
enum Multiplexing {
    Offered,
    Agreed,
}

impl Asked {
    /// Pairs the peer's key with ours of the same suite. Some peers answer with a tag of their own, so the
    /// suite decides; each stands in our offer once.
    fn secured_by(&self, theirs: CryptoLine) -> Option<Security> {
        let ours = self.lines.iter().find(|line| line.keys.suite() == theirs.keys.suite())?;
        Some(Security { send: ours.keys.clone(), receive: theirs.keys })
    }
}

/// Reads a peer's offer by what the peer is allowed.
fn hear_offer(remote: &RemoteDescription, suites: &Suites) -> Result<Heard, NegotiationError> {
    let choice = choose(&remote.crypto, &suites.accepted);
    let line = match (remote.policy, remote.profile, choice) {
        (Policy::Off, Profile::Savp, _) => return Err(NegotiationError::SecureRefused),
        (Policy::Off, Profile::Avp, _) => None,
        (_, _, Choice::Taken(line)) => Some(*line),
        (_, Profile::Savp, Choice::Absent) => return Err(NegotiationError::NoKey),
        (_, Profile::Savp, Choice::Unusable(error)) => return Err(NegotiationError::BadCrypto(error)),
        (Policy::Required, Profile::Avp, _) => return Err(NegotiationError::SecureRequired),
        // RFC 8643: lines that cannot be honoured are as good as none, the call goes on in clear.
        (Policy::Optional, Profile::Avp, _) => None,
    };
    let heard = read_remote(remote, remote.is_mux);
    let (hosts, payloads) = (read_hosts(remote), remote.payloads.clone());
    Ok(Heard { remote: heard, hosts, payloads, profile: remote.profile, line })
}

/// Port 0 and the unspecified address mean that nothing is to be sent (RFC 3264, 5.1 and 8.4).
fn read_remote(remote: &RemoteDescription, is_mux: bool) -> Remote {
    let is_wanted = remote.rtp_port != 0 && !remote.ip.is_unspecified();
    let rtp = is_wanted.then_some(SocketAddr::new(remote.ip, remote.rtp_port));
    let above = remote.rtp_port.checked_add(1).map(|port| SocketAddr::new(remote.ip, port));
    let stated = remote.rtcp.filter(|rtcp| rtcp.port() != 0 && !rtcp.ip().is_unspecified());
    Remote { rtp, rtcp: rtp.and_then(|_| stated.or(above)), is_mux, flow: remote.flow }
}

/// A socket for both families names IPv4 hosts by their mapped addresses.
fn read_hosts(remote: &RemoteDescription) -> Hosts {
    let signalling = remote.hosts.signalling.map(|host| host.to_canonical());
    Hosts { signalling, networks: remote.hosts.networks.clone() }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;

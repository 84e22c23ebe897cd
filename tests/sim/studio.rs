//! Media in the simulation: the relay's own sessions and ports, without sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use media_relay::packet::PacketBuf;
use media_relay::ports::{PortPair, PortPool, Rest};
use media_relay::session::{
    Channel, Endpoint, Flow, Hosts, LocalDescription, Negotiation, NegotiationError, Policy, Profile, Relay,
    RemoteDescription, Role, SessionEvent, Side, Suites, Verdict,
};
use sip_core::refusal::Refusal;
use sip_core::sdp::{Direction, LocalMedia, MediaProfile, RemoteMedia};
use sip_core::types::{CallUid, Leg, SdpRole, SecureMedia, Speaker};

use crate::dice::Dice;

/// How long a port rests before it is used again.
const REST: Rest = Rest { enough: Duration::from_secs(30), least: Duration::from_secs(30) };

/// One call's media.
struct Session {
    negotiation: Negotiation,
    relay: Relay,
    ports: [PortPair; 2],
    /// Whether anything was described, and whether the first offer waits for its answer.
    is_begun: bool,
    is_unanswered: bool,
}

/// All calls' media.
pub(crate) struct Studio {
    sessions: BTreeMap<CallUid, Session>,
    pool: PortPool,
    host: IpAddr,
    dice: Dice,
}

impl Studio {
    pub(crate) fn new(host: IpAddr, mut dice: Dice) -> Self {
        let mut own = dice.split();
        let pool = PortPool::new(1, &(20_000..=29_999), REST, &mut || own.next() as u32);
        Self { sessions: BTreeMap::new(), pool, host, dice }
    }

    /// The calls with open media.
    pub(crate) fn open(&self) -> impl Iterator<Item = CallUid> {
        self.sessions.keys().copied()
    }

    /// From now on there are so many pairs of ports; none may be in use.
    pub(crate) fn have_ports(&mut self, pairs: u16) {
        assert_eq!(self.ports_in_use(), 0);
        let dice = &mut self.dice;
        self.pool = PortPool::new(1, &(20_000..=20_000 + 2 * pairs - 1), REST, &mut || dice.next() as u32);
    }

    pub(crate) fn ports_in_use(&self) -> usize {
        self.pool.in_use()
    }

    pub(crate) fn describe(
        &mut self,
        now: Instant,
        call: CallUid,
        (from, role): (Leg, SdpRole),
        said: Said<'_>,
        secure: SecureMedia,
    ) -> Result<LocalMedia, Refusal> {
        let dice = &mut self.dice.split();
        let session = self.session(now, call, (from, secure))?;
        match role {
            // The same offer to the next target, or in another way: what the last one was told must not be used again.
            SdpRole::Offer if session.is_unanswered => session.replace(side(from.other()), policy(secure)),
            SdpRole::Offer | SdpRole::EarlyAnswer => {}
            SdpRole::Answer => session.is_unanswered = false,
        }
        session.is_unanswered |= !session.is_begun;
        session.is_begun = true;
        let role = match role {
            SdpRole::Offer => Role::Offer,
            SdpRole::EarlyAnswer => Role::EarlyAnswer,
            SdpRole::Answer => Role::Answer,
        };
        let random = &mut |octets: &mut [u8]| octets.iter_mut().for_each(|octet| *octet = dice.next() as u8);
        let told = session.negotiation.describe(side(from), role, &described(said), random);
        let told = told.map_err(refusal)?;
        session.put_into_effect(now);
        Ok(local(told))
    }

    pub(crate) fn echo(
        &mut self,
        now: Instant,
        call: CallUid,
        said: Said<'_>,
    ) -> Result<LocalMedia, Refusal> {
        let told = self.answer_alone(now, call, Leg::Caller, said)?;
        self.session(now, call, (Leg::Caller, SecureMedia::Off))?.relay.start_echo();
        Ok(told)
    }

    pub(crate) fn answer_alone(
        &mut self,
        now: Instant,
        call: CallUid,
        from: Leg,
        said: Said<'_>,
    ) -> Result<LocalMedia, Refusal> {
        let dice = &mut self.dice.split();
        let session = self.session(now, call, (from, SecureMedia::Off))?;
        let random = &mut |octets: &mut [u8]| octets.iter_mut().for_each(|octet| *octet = dice.next() as u8);
        let told = session.negotiation.answer_alone(side(from), &described(said), random).map_err(refusal)?;
        session.put_into_effect(now);
        Ok(local(told))
    }

    pub(crate) fn echo_offer(
        &mut self,
        now: Instant,
        call: CallUid,
        secure: SecureMedia,
    ) -> Result<LocalMedia, Refusal> {
        let dice = &mut self.dice.split();
        let session = self.session(now, call, (Leg::Callee, secure))?;
        let random = &mut |octets: &mut [u8]| octets.iter_mut().for_each(|octet| *octet = dice.next() as u8);
        let told = session.negotiation.offer_alone(Side::Near, random).map_err(refusal)?;
        session.relay.start_echo();
        Ok(local(told))
    }

    pub(crate) fn echo_answer(
        &mut self,
        now: Instant,
        call: CallUid,
        said: Said<'_>,
    ) -> Result<LocalMedia, Refusal> {
        let session = self.session(now, call, (Leg::Caller, SecureMedia::Off))?;
        let told = session.negotiation.accept_alone(Side::Near, &described(said)).map_err(refusal)?;
        session.put_into_effect(now);
        Ok(local(told))
    }

    pub(crate) fn watch(&mut self, now: Instant, call: CallUid) {
        self.sessions.get_mut(&call).expect("what is answered has media").relay.watch(now);
    }

    /// The calls of which the relay says that they have been silent for so long.
    pub(crate) fn silent(&mut self, now: Instant, limit: Duration) -> Vec<CallUid> {
        let mut silent = Vec::new();
        for (call, session) in &mut self.sessions {
            session.relay.handle_tick(now, limit);
            let events: Vec<_> = std::iter::from_fn(|| session.relay.poll_event()).collect();
            if events.iter().any(|event| matches!(event, SessionEvent::Silent { .. })) {
                silent.push(*call);
            }
        }
        silent
    }

    /// The halves of calls of which the relay has learnt where their media comes from.
    pub(crate) fn located(&mut self) -> Vec<(CallUid, Leg)> {
        let mut located = Vec::new();
        for (call, session) in &mut self.sessions {
            while let Some(event) = session.relay.poll_event() {
                if let SessionEvent::Located { side } = event {
                    located.push((*call, if side == Side::Near { Leg::Caller } else { Leg::Callee }));
                }
            }
        }
        located
    }

    pub(crate) fn roll_back(&mut self, now: Instant, call: CallUid) {
        let session = self.sessions.get_mut(&call).expect("only open media is rolled back");
        session.negotiation.rollback();
        session.put_into_effect(now);
    }

    pub(crate) fn close(&mut self, now: Instant, call: CallUid) {
        // Media that found no ports was never open.
        let Some(session) = self.sessions.remove(&call) else { return };
        session.ports.into_iter().for_each(|pair| self.pool.release(now, pair));
    }

    fn session(
        &mut self,
        now: Instant,
        call: CallUid,
        (from, secure): (Leg, SecureMedia),
    ) -> Result<&mut Session, Refusal> {
        if !self.sessions.contains_key(&call) {
            let mut take = || self.pool.take(now, 0).ok_or(Refusal::MediaUnavailable);
            let ports = [take()?, take()?];
            let mut negotiation = Negotiation::new(Suites::default());
            for side in Side::BOTH {
                let pair = &ports[side.index()];
                let local = Endpoint { ip: self.host, rtp_port: pair.rtp(), rtcp_port: pair.rtcp() };
                let is_offered_to = side != crate::studio::side(from);
                let policy = if is_offered_to { policy(secure) } else { Policy::Optional };
                negotiation.set_party(side, policy, local);
            }
            let relay = Relay::new(self.dice.next() as u32);
            let session = Session { negotiation, relay, ports, is_begun: false, is_unanswered: false };
            self.sessions.insert(call, session);
        }
        Ok(self.sessions.get_mut(&call).expect("it was just put there"))
    }

    /// Lets a packet of `source` arrive at one of our ports; tells where the relay sends what on to.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        port: u16,
        source: SocketAddr,
        octets: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let (session, side) = self.sessions.values_mut().find_map(|session| {
            let side = Side::BOTH.into_iter().find(|side| session.ports[side.index()].rtp() == port)?;
            Some((session, side))
        })?;
        let mut packet = PacketBuf::new();
        packet.fill(octets);
        match session.relay.handle_packet(now, side, source, Channel::Rtp, &mut packet) {
            Verdict::Forward { destination, .. } => Some((destination, packet.as_slice().to_vec())),
            Verdict::Drop(_) => None,
        }
    }

    /// The gateway is no more, and its ports with it.
    pub(crate) fn close_all(&mut self, now: Instant) {
        for session in std::mem::take(&mut self.sessions).into_values() {
            session.ports.into_iter().for_each(|pair| self.pool.release(now, pair));
        }
    }
}

impl Session {
    fn replace(&mut self, side: Side, policy: Policy) {
        if let Some(local) = self.negotiation.endpoint(side) {
            self.negotiation.set_party(side, policy, local);
        }
    }

    fn put_into_effect(&mut self, now: Instant) {
        for side in Side::BOTH {
            if let Some(terms) = self.negotiation.terms(side).cloned() {
                self.relay.apply(now, side, &terms);
            }
        }
    }
}

fn side(leg: Leg) -> Side {
    match leg {
        Leg::Caller => Side::Near,
        Leg::Callee => Side::Far,
    }
}

fn policy(secure: SecureMedia) -> Policy {
    match secure {
        SecureMedia::Off => Policy::Off,
        SecureMedia::Optional => Policy::Optional,
        SecureMedia::Required => Policy::Required,
    }
}

/// A description, and who has made it.
type Said<'a> = (&'a RemoteMedia, &'a Speaker);

fn described((remote, speaker): Said<'_>) -> RemoteDescription {
    let ip = remote.ip.expect("the agents write addresses");
    RemoteDescription {
        ip,
        rtp_port: remote.rtp_port,
        rtcp: remote.rtcp_port.map(|port| SocketAddr::new(ip, port)),
        is_mux: remote.rtcp_mux,
        profile: if remote.profile.is_secure() { Profile::Savp } else { Profile::Avp },
        crypto: remote.crypto.clone(),
        flow: match remote.direction {
            Direction::SendRecv => Flow::SendRecv,
            Direction::SendOnly => Flow::SendOnly,
            Direction::RecvOnly => Flow::RecvOnly,
            Direction::Inactive => Flow::Inactive,
        },
        payloads: Vec::new(),
        policy: policy(speaker.may_secure),
        hosts: Hosts::signalling(speaker.signalling),
    }
}

fn local(told: LocalDescription) -> LocalMedia {
    LocalMedia {
        ip: told.ip,
        rtp_port: told.rtp_port,
        rtcp_port: told.rtcp_port,
        rtcp_mux: told.is_mux,
        profile: match told.profile {
            Profile::Avp => MediaProfile::Avp,
            Profile::Savp => MediaProfile::Savp,
        },
        crypto: told.crypto,
    }
}

fn refusal(error: NegotiationError) -> Refusal {
    match error {
        NegotiationError::SecureRequired => Refusal::SecureMediaRequired,
        NegotiationError::SecureRefused => Refusal::SecureMediaForbidden,
        NegotiationError::NoOffer => panic!("the core's answer belongs to no offer"),
        _ => Refusal::NoMediaInCommon,
    }
}

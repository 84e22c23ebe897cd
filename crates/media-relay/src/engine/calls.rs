//! The calls of one worker: their sockets, their relays, and what is done with both.

use super::config::{AddressHint, EngineConfig, LegSetup};
use super::error::MediaError;
use super::sockets::LegSockets;
use super::totals::Totals;
use super::{MediaEvent, MediaId};
use crate::packet::PacketBuf;
use crate::ports::PortPool;
use crate::session::{
    CallStats, Channel, DropReason, LocalDescription, Negotiation, NegotiationError, Relay,
    RemoteDescription, Role, Side, Verdict,
};
use rustix::event::epoll;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::mpsc;

/// What epoll says about a ready socket: the call's slot, the slot's generation, side and channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(pub(super) u64);

impl Token {
    /// The worker's own bell.
    pub(super) const BELL: Self = Self(u64::MAX);

    fn new(slot: usize, generation: u32, side: Side, channel: Channel) -> Self {
        let place = (side.index() << 1 | channel.index()) as u64;
        Self((slot as u64) << 32 | u64::from(generation & GENERATION) << 2 | place)
    }

    fn slot(self) -> usize {
        (self.0 >> 32) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 2) as u32 & GENERATION
    }

    fn side(self) -> Side {
        if self.0 & 2 == 0 { Side::Near } else { Side::Far }
    }

    fn channel(self) -> Channel {
        if self.0 & 1 == 0 { Channel::Rtp } else { Channel::Rtcp }
    }
}

/// The bits of a generation that fit into a token.
const GENERATION: u32 = (1 << 30) - 1;

struct Call {
    id: MediaId,
    generation: u32,
    relay: Relay,
    negotiation: Negotiation,
    setups: [Option<LegSetup>; 2],
    sockets: [Option<LegSockets>; 2],
}

/// A worker's calls.
pub(super) struct Calls {
    epoll: OwnedFd,
    config: Arc<EngineConfig>,
    pool: Arc<Mutex<PortPool>>,
    events: mpsc::Sender<MediaEvent>,
    totals: Arc<Totals>,
    slots: Vec<Option<Call>>,
    free: Vec<usize>,
    by_id: HashMap<MediaId, usize>,
    generation: u32,
}

impl Calls {
    pub(super) fn new(
        epoll: OwnedFd,
        config: Arc<EngineConfig>,
        pool: Arc<Mutex<PortPool>>,
        events: mpsc::Sender<MediaEvent>,
        totals: Arc<Totals>,
    ) -> Self {
        let (slots, free, by_id) = (Vec::new(), Vec::new(), HashMap::new());
        Self { epoll, config, pool, events, totals, slots, free, by_id, generation: 0 }
    }

    pub(super) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Takes one packet from a ready socket and sends it on.
    pub(super) fn receive(&mut self, now: Instant, token: Token, packet: &mut PacketBuf) {
        // A call that closed earlier in this batch may still be in it.
        let Some(Some(call)) = self.slots.get_mut(token.slot()) else {
            return;
        };
        let (side, channel) = (token.side(), token.channel());
        let Some(sockets) =
            call.sockets[side.index()].as_ref().filter(|_| call.generation == token.generation())
        else {
            return;
        };
        let Ok((len, source)) = sockets.socket(channel).recv_from(packet.receive_area()) else {
            return;
        };
        packet.set_len(len);
        match call.relay.handle_packet(now, side, source, channel, packet) {
            Verdict::Forward { side: to, channel, destination } => {
                let socket = call.sockets[to.index()].as_ref().map(|sockets| sockets.socket(channel));
                let is_sent = socket.is_some_and(|it| it.send_to(packet.as_slice(), destination).is_ok());
                if is_sent {
                    self.totals.count_forwarded(packet.len());
                } else {
                    call.relay.note_unsent(side);
                    self.totals.count_drop(DropReason::Unsent);
                }
            }
            Verdict::Drop(reason) => self.totals.count_drop(reason),
        }
        tell(call, &self.events, &self.totals);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        for call in self.slots.iter_mut().flatten() {
            call.relay.handle_tick(now, self.config.media_silence);
            tell(call, &self.events, &self.totals);
        }
    }

    pub(super) fn open(
        &mut self,
        id: MediaId,
        near: LegSetup,
        far: Option<LegSetup>,
    ) -> Result<(), MediaError> {
        let slot = match self.by_id.entry(id) {
            Entry::Occupied(_) => return Err(MediaError::DuplicateCall),
            Entry::Vacant(vacant) => {
                let slot = self.free.pop().unwrap_or(self.slots.len());
                *vacant.insert(slot)
            }
        };
        self.generation = self.generation.wrapping_add(1) & GENERATION;
        let mut seed = [0; 4];
        random(&mut seed);
        let call = Call {
            id,
            generation: self.generation,
            relay: Relay::new(u32::from_ne_bytes(seed)),
            negotiation: Negotiation::new(self.config.suites.clone()),
            setups: [None, None],
            sockets: [None, None],
        };
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(call),
            None => self.slots.push(Some(call)),
        }
        self.totals.set_calls(self.by_id.len());
        let opened = self.open_leg(slot, Side::Near, near).and_then(|()| match far {
            Some(far) => self.open_leg(slot, Side::Far, far),
            None => Ok(()),
        });
        if opened.is_err() {
            let _ = self.close(Instant::now(), id);
        }
        opened
    }

    /// Opens a side's sockets, watches them, and closes those it had.
    fn open_leg(&mut self, slot: usize, side: Side, setup: LegSetup) -> Result<(), MediaError> {
        let address = self.config.choose(setup.address).ok_or(MediaError::NoAddress)?;
        let Some(Some(call)) = self.slots.get_mut(slot) else {
            return Err(MediaError::UnknownCall);
        };
        let sockets = LegSockets::open(&self.config, &self.pool, address)?;
        for channel in [Channel::Rtp, Channel::Rtcp] {
            let token = Token::new(slot, call.generation, side, channel);
            let data = epoll::EventData::new_u64(token.0);
            if let Err(error) = epoll::add(&self.epoll, sockets.socket(channel), data, epoll::EventFlags::IN)
            {
                sockets.close(Instant::now(), &self.pool);
                return Err(MediaError::NoSockets(error.kind()));
            }
        }
        call.negotiation.set_party(side, setup.policy, sockets.endpoint(&self.config));
        call.setups[side.index()] = Some(setup);
        if let Some(before) = call.sockets[side.index()].replace(sockets) {
            before.close(Instant::now(), &self.pool);
        }
        Ok(())
    }

    pub(super) fn describe(
        &mut self,
        now: Instant,
        id: MediaId,
        from: Side,
        role: Role,
        remote: &RemoteDescription,
    ) -> Result<LocalDescription, MediaError> {
        self.suit_family(id, from, role, remote)?;
        let call = self.call(id)?;
        let local = call.negotiation.describe(from, role, remote, &mut random)?;
        if role != Role::Offer {
            call.apply(now);
        }
        Ok(local)
    }

    /// A leg whose peer speaks first, over the other family than was guessed, is opened again over that one.
    /// Once a leg's address was told to its peer it stays.
    fn suit_family(
        &mut self,
        id: MediaId,
        from: Side,
        role: Role,
        remote: &RemoteDescription,
    ) -> Result<(), MediaError> {
        let slot = *self.by_id.get(&id).ok_or(MediaError::UnknownCall)?;
        let call = self.call(id)?;
        let setup = call.setups[from.index()];
        let is_told = call.negotiation.is_told(from);
        let local = call.negotiation.endpoint(from).ok_or(NegotiationError::NoOffer)?;
        let is_v4 = local.ip.is_ipv4();
        if remote.ip.is_unspecified() || remote.ip.is_ipv4() == is_v4 {
            return Ok(());
        }
        match setup {
            Some(setup) if role == Role::Offer && !is_told => {
                self.open_leg(slot, from, LegSetup { address: AddressHint::Like(remote.ip), ..setup })
            }
            _ => Err(MediaError::WrongFamily),
        }
    }

    pub(super) fn watch(&mut self, now: Instant, id: MediaId) -> Result<(), MediaError> {
        self.call(id)?.relay.watch(now);
        Ok(())
    }

    pub(super) fn rollback(&mut self, now: Instant, id: MediaId) -> Result<(), MediaError> {
        let call = self.call(id)?;
        if call.negotiation.rollback() {
            call.apply(now);
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, id: MediaId, side: Side, setup: LegSetup) -> Result<(), MediaError> {
        let slot = *self.by_id.get(&id).ok_or(MediaError::UnknownCall)?;
        self.open_leg(slot, side, setup)?;
        self.call(id)?.relay.forget(side);
        Ok(())
    }

    pub(super) fn echo(
        &mut self,
        now: Instant,
        id: MediaId,
        offer: &RemoteDescription,
    ) -> Result<LocalDescription, MediaError> {
        let answer = self.answer_alone(now, id, Side::Near, offer)?;
        self.call(id)?.relay.start_echo();
        Ok(answer)
    }

    pub(super) fn answer_alone(
        &mut self,
        now: Instant,
        id: MediaId,
        side: Side,
        offer: &RemoteDescription,
    ) -> Result<LocalDescription, MediaError> {
        self.suit_family(id, side, Role::Offer, offer)?;
        let call = self.call(id)?;
        let answer = call.negotiation.answer_alone(side, offer, &mut random)?;
        call.apply(now);
        Ok(answer)
    }

    pub(super) fn echo_offer(&mut self, id: MediaId) -> Result<LocalDescription, MediaError> {
        let call = self.call(id)?;
        let offer = call.negotiation.offer_alone(Side::Near, &mut random)?;
        call.relay.start_echo();
        Ok(offer)
    }

    pub(super) fn echo_answer(
        &mut self,
        now: Instant,
        id: MediaId,
        answer: &RemoteDescription,
    ) -> Result<LocalDescription, MediaError> {
        self.suit_family(id, Side::Near, Role::Answer, answer)?;
        let call = self.call(id)?;
        let agreed = call.negotiation.accept_alone(Side::Near, answer)?;
        call.apply(now);
        Ok(agreed)
    }

    pub(super) fn stats(&mut self, id: MediaId) -> Result<CallStats, MediaError> {
        Ok(self.call(id)?.relay.stats())
    }

    pub(super) fn close(&mut self, now: Instant, id: MediaId) -> Result<CallStats, MediaError> {
        let slot = self.by_id.remove(&id).ok_or(MediaError::UnknownCall)?;
        let call = self.slots.get_mut(slot).and_then(Option::take).ok_or(MediaError::UnknownCall)?;
        self.free.push(slot);
        self.totals.set_calls(self.by_id.len());
        for sockets in call.sockets.into_iter().flatten() {
            sockets.close(now, &self.pool);
        }
        Ok(call.relay.stats())
    }

    fn call(&mut self, id: MediaId) -> Result<&mut Call, MediaError> {
        let slot = *self.by_id.get(&id).ok_or(MediaError::UnknownCall)?;
        self.slots.get_mut(slot).and_then(Option::as_mut).ok_or(MediaError::UnknownCall)
    }
}

impl Call {
    fn apply(&mut self, now: Instant) {
        for side in Side::BOTH {
            match self.negotiation.terms(side) {
                Some(terms) => self.relay.apply(now, side, terms),
                None => self.relay.forget(side),
            }
        }
    }
}

/// Passes a call's events on. Nobody waits for the daemon: what finds the queue full is lost, and counted.
fn tell(call: &mut Call, events: &mpsc::Sender<MediaEvent>, totals: &Totals) {
    while let Some(event) = call.relay.poll_event() {
        if events.try_send(MediaEvent { id: call.id, event }).is_err() {
            totals.count_lost_event();
        }
    }
}

/// The kernel's randomness, for keys and ports.
pub(super) fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("the kernel gives random numbers once it has booted");
}

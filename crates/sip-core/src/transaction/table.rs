//! The table of running transactions: finds the machine, carries out its effects, runs its timers.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use slotmap::SlotMap;
use smallvec::SmallVec;

use super::client::{self, Client};
use super::client_invite::{self, ClientInvite};
use super::companion::ack_of_refusal;
use super::key;
use super::machine::{Effect, Effects, Intervals, Timer};
use super::server::Server;
use super::server_invite::{self, ServerInvite};
use super::waiting::{Route, Waiting};
use crate::message::{Message, Method};
use crate::outbox::Outbox;
use crate::settings::TimerSettings;
use crate::timers::{TimerHandle, Timers};
use crate::types::{Flow, Transmit};

slotmap::new_key_type! {
    /// A request that came in.
    pub(crate) struct ServerKey;
    /// A request that went out.
    pub(crate) struct ClientKey;
}

/// A request of ours, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<'a, U> {
    pub(crate) flow: Flow,
    pub(crate) method: &'a Method,
    /// The branch of its top Via.
    pub(crate) branch: &'a str,
    pub(crate) bytes: Bytes,
    /// Whose it is.
    pub(crate) user: U,
}

/// What became of a request that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A new request: the user answers it at once and without state, or opens its transaction.
    New,
    /// A retransmission, or the ACK to a refusal: dealt with.
    Absorbed,
    /// An ACK that no transaction waits for: the ACK to a 2xx.
    AckOf2xx,
}

/// What a deadline that was due has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired<U> {
    /// A retransmission, or the end of a transaction that nobody waits for. No ACK to our refusal is such an end: the
    /// refusal stands.
    Handled,
    /// No final answer came to a request of ours.
    NoAnswer(U),
}

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

impl ServerMachine {
    fn new(method: &Method, intervals: Intervals) -> Self {
        match method {
            Method::Invite => Self::Invite(ServerInvite::new(intervals)),
            _ => Self::Other(Server::new(intervals)),
        }
    }

    fn on_retransmission(&mut self) -> Effects {
        match self {
            Self::Invite(machine) => machine.on_retransmission(),
            Self::Other(machine) => machine.on_retransmission(),
        }
    }

    fn on_answer(&mut self, status: u16, response: Bytes) -> Effects {
        match self {
            Self::Invite(machine) => machine.on_answer(status, response),
            Self::Other(machine) => machine.on_answer(status, response),
        }
    }

    fn on_timer(&mut self, timer: Timer) -> Effects {
        match self {
            Self::Invite(machine) => machine.on_timer(timer),
            Self::Other(machine) => machine.on_timer(timer),
        }
    }
}

impl ClientMachine {
    /// Starts the machine; the effects send the request.
    fn start(method: &Method, request: Bytes, intervals: Intervals) -> (Self, Effects) {
        match method {
            Method::Invite => {
                let (machine, effects) = ClientInvite::start(request, intervals);
                (Self::Invite(machine), effects)
            }
            _ => {
                let (machine, effects) = Client::start(request, intervals);
                (Self::Other(machine), effects)
            }
        }
    }

    /// The request, as long as no final answer to an INVITE has made its ACK of it.
    fn sent(&self) -> Bytes {
        match self {
            Self::Invite(machine) => machine.sent.clone(),
            Self::Other(machine) => machine.sent.clone(),
        }
    }

    fn on_response(&mut self, status: u16) -> Effects {
        match self {
            Self::Invite(machine) => machine.on_response(status),
            Self::Other(machine) => machine.on_response(status),
        }
    }

    fn on_timer(&mut self, timer: Timer) -> Effects {
        match self {
            Self::Invite(machine) => machine.on_timer(timer),
            Self::Other(machine) => machine.on_timer(timer),
        }
    }

    fn give_up(&mut self) -> Effects {
        match self {
            Self::Invite(machine) => machine.give_up(),
            Self::Other(machine) => machine.give_up(),
        }
    }

    /// Whether the final answer is still to come.
    fn awaits_final(&self) -> bool {
        use client::State::{Proceeding, Trying};
        match self {
            Self::Invite(machine) => {
                self.is_unanswered() || machine.state == client_invite::State::Proceeding
            }
            Self::Other(machine) => matches!(machine.state, Trying | Proceeding),
        }
    }

    /// Whether it fails when the way of its request does. An INVITE that is being worked on is not sent again over UDP.
    fn depends_on_way(&self, flow: Flow) -> bool {
        match self {
            Self::Invite(_) if !flow.transport.is_reliable() => self.is_unanswered(),
            _ => self.awaits_final(),
        }
    }

    /// Whether no answer has come at all.
    fn is_unanswered(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.state == client_invite::State::Calling,
            Self::Other(machine) => machine.state == client::State::Trying,
        }
    }
}

/// The methods of our requests, apart from CANCEL and ACK.
const OURS: [Method; 6] =
    [Method::Invite, Method::Bye, Method::Update, Method::Info, Method::Prack, Method::Options];

type RunningTimers = SmallVec<[(Timer, TimerHandle); 2]>;

#[derive(Debug)]
struct ServerEntry {
    machine: ServerMachine,
    key: Box<str>,
    flow: Flow,
    timers: RunningTimers,
}

#[derive(Debug)]
struct ClientEntry<U> {
    machine: ClientMachine,
    key: Box<str>,
    flow: Flow,
    user: U,
    timers: RunningTimers,
    /// Whether the index of waiting transactions holds it.
    is_waiting: bool,
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Server(ServerKey),
    Client(ClientKey),
}

/// All running transactions; `U` tells the user which of its requests an answer belongs to.
#[derive(Debug)]
pub(crate) struct Transactions<U> {
    settings: TimerSettings,
    limit: usize,
    servers: SlotMap<ServerKey, ServerEntry>,
    clients: SlotMap<ClientKey, ClientEntry<U>>,
    server_keys: HashMap<Box<str>, ServerKey>,
    client_keys: HashMap<Box<str>, ClientKey>,
    waiting: Waiting,
    timers: Timers<(Owner, Timer)>,
}

/// Why a response answers no request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// None has its branch.
    Never,
    /// One has, and somebody else was asked.
    Elsewhere,
}

impl<U: Copy> Transactions<U> {
    pub(crate) fn new(settings: TimerSettings, limit: usize) -> Self {
        Self {
            settings,
            limit,
            servers: SlotMap::with_key(),
            clients: SlotMap::with_key(),
            server_keys: HashMap::new(),
            client_keys: HashMap::new(),
            waiting: Waiting::default(),
            timers: Timers::default(),
        }
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// Whether there is no room for what need not be.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The earliest deadline.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A request came in.
    pub(crate) fn receive_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        out: &mut Outbox,
    ) -> Incoming {
        let is_ack = *request.method() == Method::Ack;
        let method = if is_ack { &Method::Invite } else { request.method() };
        let Some(key) = key::server(request, method, flow.peer.ip()) else { return Incoming::Absorbed };
        match self.server_keys.get(&key).copied() {
            Some(id) if is_ack => self.receive_ack(now, id, out),
            Some(id) => {
                let effects = self.servers[id].machine.on_retransmission();
                self.apply_server(now, id, effects, out);
                Incoming::Absorbed
            }
            None if is_ack => Incoming::AckOf2xx,
            None => Incoming::New,
        }
    }

    /// Opens the transaction of a new request; `None` if the table is full, then 503 is owed without state.
    pub(crate) fn open(&mut self, flow: Flow, request: &Message) -> Option<ServerKey> {
        let method = request.method();
        let key = key::server(request, method, flow.peer.ip())?;
        (!self.is_full()).then(|| self.insert_server(key, flow, method))
    }

    fn receive_ack(&mut self, now: Instant, id: ServerKey, out: &mut Outbox) -> Incoming {
        let ServerMachine::Invite(machine) = &mut self.servers[id].machine else { return Incoming::Absorbed };
        if machine.state == server_invite::State::Accepted {
            // Some user agents reuse the INVITE's branch for the ACK to a 2xx.
            return Incoming::AckOf2xx;
        }
        let effects = machine.on_ack();
        self.apply_server(now, id, effects, out);
        Incoming::Absorbed
    }

    fn insert_server(&mut self, key: Box<str>, flow: Flow, method: &Method) -> ServerKey {
        let intervals = Intervals::new(&self.settings, flow.transport);
        let machine = ServerMachine::new(method, intervals);
        let entry = ServerEntry { machine, key: key.clone(), flow, timers: SmallVec::new() };
        let id = self.servers.insert(entry);
        self.server_keys.insert(key, id);
        id
    }

    /// The INVITE that a CANCEL is for, if it came the same way: a stranger cannot cancel another's call.
    pub(crate) fn invite_of_cancel(&self, cancel: &Message, flow: Flow) -> Option<ServerKey> {
        let key = key::server(cancel, &Method::Invite, flow.peer.ip())?;
        let id = *self.server_keys.get(&key)?;
        (self.servers[id].flow.connection == flow.connection).then_some(id)
    }

    /// Answers a request. An answer to a transaction that has ended is dropped.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        id: ServerKey,
        status: u16,
        response: Bytes,
        out: &mut Outbox,
    ) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        let effects = entry.machine.on_answer(status, response);
        self.apply_server(now, id, effects, out);
    }

    /// Sends a request.
    pub(crate) fn request(&mut self, now: Instant, request: Outgoing<'_, U>, out: &mut Outbox) -> ClientKey {
        let Outgoing { flow, method, branch, bytes, user } = request;
        let intervals = Intervals::new(&self.settings, flow.transport);
        let (machine, effects) = ClientMachine::start(method, bytes, intervals);
        let key = key::client(branch, method);
        let timers = SmallVec::new();
        let entry = ClientEntry { machine, key: key.clone(), flow, user, timers, is_waiting: true };
        let id = self.clients.insert(entry);
        self.client_keys.insert(key, id);
        self.waiting.insert(flow, id);
        self.apply_client(now, id, effects, None, out);
        id
    }

    /// The request of ours that a response answers (RFC 3261 section 17.1.3). A response takes the way of its request: a
    /// branch can be overheard, and a stranger's response is a forgery.
    pub(crate) fn answered_by(
        &self,
        flow: Flow,
        response: &Message,
        is_same_peer: impl Fn(Flow, Flow) -> bool,
    ) -> Result<ClientKey, Unasked> {
        let id = self.named_by(response).ok_or(Unasked::Never)?;
        if is_same_peer(self.clients[id].flow, flow) { Ok(id) } else { Err(Unasked::Elsewhere) }
    }

    fn named_by(&self, response: &Message) -> Option<ClientKey> {
        let branch = key::branch_of(response)?;
        let find = |method: &Method| self.client_keys.get(&key::client(branch, method)).copied();
        // The branch is of one request alone, and of its CANCEL: an answer to that must be told apart.
        let is_told_apart = || *response.method() != Method::Cancel && find(&Method::Cancel).is_none();
        let by_branch = || OURS.iter().find_map(find).filter(|_| is_told_apart());
        find(response.method()).or_else(by_branch)
    }

    /// A request of ours as it was sent, until its final answer comes.
    pub(crate) fn request_of(&self, id: ClientKey) -> Option<&Bytes> {
        match &self.clients.get(id)?.machine {
            ClientMachine::Invite(machine) if machine.state == client_invite::State::Completed => None,
            ClientMachine::Invite(machine) => Some(&machine.sent),
            ClientMachine::Other(machine) => Some(&machine.sent),
        }
    }

    /// Where a request of ours was sent.
    pub(crate) fn flow_of(&self, id: ClientKey) -> Option<Flow> {
        self.clients.get(id).map(|entry| entry.flow)
    }

    /// A response came in to a request of ours; returns whose it is, and the request as it was sent, if the user is to
    /// see it.
    pub(crate) fn receive_response(
        &mut self,
        now: Instant,
        id: ClientKey,
        response: &Message,
        out: &mut Outbox,
    ) -> Option<(U, Bytes)> {
        let entry = self.clients.get_mut(id)?;
        let user = entry.user;
        let (sent, effects) = (entry.machine.sent(), entry.machine.on_response(response.status()));
        let is_passed = effects.contains(&Effect::Pass);
        self.apply_client(now, id, effects, Some(response), out);
        is_passed.then_some((user, sent))
    }

    /// The INVITE of ours, as sent, while a CANCEL for it makes sense (RFC 3261 section 9.1: after a provisional
    /// response, before the final one).
    pub(crate) fn cancellable_invite(&self, id: ClientKey) -> Option<(Bytes, Flow)> {
        let entry = self.clients.get(id)?;
        match &entry.machine {
            ClientMachine::Invite(invite) if invite.state == client_invite::State::Proceeding => {
                Some((invite.sent.clone(), entry.flow))
            }
            _ => None,
        }
    }

    /// Whether a request of ours still waits for its final answer.
    pub(crate) fn awaits_final(&self, id: ClientKey) -> bool {
        self.clients.get(id).is_some_and(|entry| entry.machine.awaits_final())
    }

    /// Nobody wants the answer to this INVITE any more: it may take 64*T1 to come, and is forgotten then.
    pub(crate) fn abandon(&mut self, now: Instant, id: ClientKey, out: &mut Outbox) {
        if let Some(ClientEntry { machine: ClientMachine::Invite(invite), .. }) = self.clients.get_mut(id) {
            let effects = invite.abandon();
            self.apply_client(now, id, effects, None, out);
        }
    }

    /// Fires the next timer that is due; `None` if none is.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Option<Fired<U>> {
        let (owner, timer) = self.timers.pop_due(now)?;
        let unanswered = match owner {
            Owner::Server(id) => {
                self.fire_server(now, id, timer, out);
                None
            }
            Owner::Client(id) => self.fire_client(now, id, timer, out),
        };
        Some(unanswered.map_or(Fired::Handled, Fired::NoAnswer))
    }

    fn fire_server(&mut self, now: Instant, id: ServerKey, timer: Timer, out: &mut Outbox) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        entry.timers.retain(|(running, _)| *running != timer);
        let effects = entry.machine.on_timer(timer);
        self.apply_server(now, id, effects, out);
    }

    /// Gives whose request has waited in vain.
    fn fire_client(&mut self, now: Instant, id: ClientKey, timer: Timer, out: &mut Outbox) -> Option<U> {
        let entry = self.clients.get_mut(id)?;
        entry.timers.retain(|(running, _)| *running != timer);
        let user = entry.user;
        let effects = entry.machine.on_timer(timer);
        let has_given_up = effects.contains(&Effect::GaveUp);
        self.apply_client(now, id, effects, None, out);
        has_given_up.then_some(user)
    }

    /// This datagram could not be sent: the request that it holds has failed (RFC 3261 section 17.1.4). An INVITE that is
    /// being worked on has not: no more of it is to be sent (section 17.1.1.2).
    pub(crate) fn unsent(&mut self, now: Instant, unsent: &Transmit, out: &mut Outbox) -> Vec<U> {
        let is_hit =
            |entry: &ClientEntry<U>| entry.flow == unsent.flow && entry.machine.sent() == unsent.bytes;
        self.give_up_where(now, [Route::of(unsent.flow)], is_hit, out)
    }

    /// Nothing could be written to the connection of `flow`: requests that wait for an answer from there have failed.
    pub(crate) fn send_failed(&mut self, now: Instant, flow: Flow, out: &mut Outbox) -> Vec<U> {
        let is_hit = |entry: &ClientEntry<U>| flow.connection.is_some() || entry.flow == flow;
        self.give_up_where(now, [Route::of(flow)], is_hit, out)
    }

    /// The network says that a datagram to `flow` reached nobody, and gives its first octets back (ICMP). Anybody can forge
    /// that, so it counts only for requests of this port of ours to there that begin with these octets, that nobody has
    /// answered at all, and that `is_meant`.
    pub(crate) fn unreachable(
        &mut self,
        now: Instant,
        flow: Flow,
        quoted: &[u8],
        is_meant: impl Fn(U) -> bool,
        out: &mut Outbox,
    ) -> Vec<U> {
        let is_hit = |entry: &ClientEntry<U>| {
            entry.flow.local.port() == flow.local.port()
                && entry.machine.is_unanswered()
                && entry.machine.sent().starts_with(quoted)
                && is_meant(entry.user)
        };
        self.give_up_where(now, [Route::of(flow)], is_hit, out)
    }

    /// A connection is gone: whatever waits for an answer over it has failed. Whoever listens may still answer an INVITE
    /// over a connection of its own (RFC 3261 section 18.2.2); what should have been answered at once was lost.
    pub(crate) fn connection_lost(&mut self, now: Instant, lost: Flow, out: &mut Outbox) -> Vec<U> {
        let is_hit = |entry: &ClientEntry<U>| {
            entry.flow.connection.is_some() || matches!(entry.machine, ClientMachine::Other(_))
        };
        let to_its_peer = Route::of(Flow { connection: None, ..lost });
        self.give_up_where(now, [Route::of(lost), to_its_peer], is_hit, out)
    }

    fn give_up_where(
        &mut self,
        now: Instant,
        routes: impl IntoIterator<Item = Route>,
        is_hit: impl Fn(&ClientEntry<U>) -> bool,
        out: &mut Outbox,
    ) -> Vec<U> {
        let waiting = routes.into_iter().flat_map(|route| self.waiting.on(route));
        let hit: Vec<_> = waiting.filter(|id| self.clients.get(*id).is_some_and(&is_hit)).collect();
        let mut users = Vec::with_capacity(hit.len());
        for id in hit {
            let Some(entry) = self.clients.get_mut(id) else { continue };
            users.push(entry.user);
            let effects = entry.machine.give_up();
            self.apply_client(now, id, effects, None, out);
        }
        users
    }

    fn apply_server(&mut self, now: Instant, id: ServerKey, effects: Effects, out: &mut Outbox) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        for effect in effects {
            match effect {
                Effect::Send(bytes) => out.send(entry.flow, bytes),
                Effect::Start(timer, after) => {
                    stop_timer(&mut self.timers, &mut entry.timers, timer);
                    let handle = self.timers.start(now + after, (Owner::Server(id), timer));
                    entry.timers.push((timer, handle));
                }
                Effect::Stop(timer) => stop_timer(&mut self.timers, &mut entry.timers, timer),
                Effect::Terminate => {
                    stop_all(&mut self.timers, &mut entry.timers);
                    self.server_keys.remove(&entry.key);
                    self.servers.remove(id);
                    return;
                }
                Effect::SendAck | Effect::Pass | Effect::GaveUp => {}
            }
        }
    }

    fn apply_client(
        &mut self,
        now: Instant,
        id: ClientKey,
        effects: Effects,
        response: Option<&Message>,
        out: &mut Outbox,
    ) {
        let Some(entry) = self.clients.get_mut(id) else { return };
        if entry.is_waiting && !entry.machine.depends_on_way(entry.flow) {
            entry.is_waiting = false;
            self.waiting.remove(entry.flow, id);
        }
        for effect in effects {
            match effect {
                Effect::Send(bytes) => out.send(entry.flow, bytes),
                Effect::SendAck => {
                    if let (Some(response), ClientMachine::Invite(machine)) = (response, &mut entry.machine)
                        && let Some(ack) = ack_of_refusal(&machine.sent, response)
                    {
                        machine.sent = ack.clone();
                        out.send(entry.flow, ack);
                    }
                }
                Effect::Start(timer, after) => {
                    stop_timer(&mut self.timers, &mut entry.timers, timer);
                    let handle = self.timers.start(now + after, (Owner::Client(id), timer));
                    entry.timers.push((timer, handle));
                }
                Effect::Stop(timer) => stop_timer(&mut self.timers, &mut entry.timers, timer),
                Effect::Terminate => {
                    stop_all(&mut self.timers, &mut entry.timers);
                    self.client_keys.remove(&entry.key);
                    self.clients.remove(id);
                    return;
                }
                Effect::Pass | Effect::GaveUp => {}
            }
        }
    }
}

fn stop_timer<T>(timers: &mut Timers<T>, running: &mut RunningTimers, timer: Timer) {
    running.retain(|(name, handle)| {
        if *name == timer {
            timers.stop(*handle);
        }
        *name != timer
    });
}

fn stop_all<T>(timers: &mut Timers<T>, running: &mut RunningTimers) {
    for (_, handle) in running.drain(..) {
        timers.stop(handle);
    }
}

#[cfg(test)]
mod tests;

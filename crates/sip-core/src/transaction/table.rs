//! The table of running transactions: finds the machine, carries out its effects, runs its timers.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use slotmap::SlotMap;
use smallvec::SmallVec;

use super::client::Client;
use super::client_invite::{self, ClientInvite};
use super::key;
use super::machine::{Effect, Effects, Intervals, Timer};
use super::server::Server;
use super::server_invite::{self, ServerInvite};
use crate::message::{Message, MessageWriter, Method, Name, lex};
use crate::outbox::Outbox;
use crate::settings::TimerSettings;
use crate::timers::{TimerHandle, Timers};
use crate::types::Flow;

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

/// A transaction that ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lapse<U> {
    /// No final answer came to a request of ours.
    NoAnswer(U),
    /// No ACK came to our refusal. Nothing to do: the refusal stands.
    NoAck,
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
    timers: Timers<(Owner, Timer)>,
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
                let effects = match &mut self.servers[id].machine {
                    ServerMachine::Invite(machine) => machine.on_retransmission(),
                    ServerMachine::Other(machine) => machine.on_retransmission(),
                };
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
        let machine = match method {
            Method::Invite => ServerMachine::Invite(ServerInvite::new(intervals)),
            _ => ServerMachine::Other(Server::new(intervals)),
        };
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
        let effects = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_answer(status, response),
            ServerMachine::Other(machine) => machine.on_answer(status, response),
        };
        self.apply_server(now, id, effects, out);
    }

    /// Sends a request.
    pub(crate) fn request(&mut self, now: Instant, request: Outgoing<'_, U>, out: &mut Outbox) -> ClientKey {
        let Outgoing { flow, method, branch, bytes, user } = request;
        let intervals = Intervals::new(&self.settings, flow.transport);
        let (machine, effects) = match method {
            Method::Invite => {
                let (machine, effects) = ClientInvite::start(bytes, intervals);
                (ClientMachine::Invite(machine), effects)
            }
            _ => {
                let (machine, effects) = Client::start(bytes, intervals);
                (ClientMachine::Other(machine), effects)
            }
        };
        let key = key::client(branch, method);
        let entry = ClientEntry { machine, key: key.clone(), flow, user, timers: SmallVec::new() };
        let id = self.clients.insert(entry);
        self.client_keys.insert(key, id);
        self.apply_client(now, id, effects, None, out);
        id
    }

    /// A response came in; returns whose it is if the user is to see it.
    pub(crate) fn receive_response(
        &mut self,
        now: Instant,
        flow: Flow,
        response: &Message,
        is_same_peer: impl Fn(Flow, Flow) -> bool,
        out: &mut Outbox,
    ) -> Option<(ClientKey, U)> {
        let key = key::of_response(response)?;
        let id = *self.client_keys.get(&key)?;
        let entry = &mut self.clients[id];
        // A response takes the way of its request: a stranger's is a forgery.
        if !is_same_peer(entry.flow, flow) {
            return None;
        }
        let user = entry.user;
        let effects = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.on_response(response.status()),
            ClientMachine::Other(machine) => machine.on_response(response.status()),
        };
        let is_passed = effects.contains(&Effect::Pass);
        self.apply_client(now, id, effects, Some(response), out);
        is_passed.then_some((id, user))
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
        self.clients.get(id).is_some_and(ClientEntry::awaits_final)
    }

    /// Nobody wants the answer to this INVITE any more: it may take 64*T1 to come, and is forgotten then.
    pub(crate) fn abandon(&mut self, now: Instant, id: ClientKey, out: &mut Outbox) {
        if let Some(ClientEntry { machine: ClientMachine::Invite(invite), .. }) = self.clients.get_mut(id) {
            let effects = invite.abandon();
            self.apply_client(now, id, effects, None, out);
        }
    }

    /// Fires every timer that is due and one at a time tells what lapsed.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> Option<Lapse<U>> {
        while let Some((owner, timer)) = self.timers.pop_due(now) {
            let lapse = match owner {
                Owner::Server(id) => self.fire_server(now, id, timer, out),
                Owner::Client(id) => self.fire_client(now, id, timer, out),
            };
            if lapse.is_some() {
                return lapse;
            }
        }
        None
    }

    fn fire_server(
        &mut self,
        now: Instant,
        id: ServerKey,
        timer: Timer,
        out: &mut Outbox,
    ) -> Option<Lapse<U>> {
        let entry = self.servers.get_mut(id)?;
        entry.timers.retain(|(running, _)| *running != timer);
        let effects = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_timer(timer),
            ServerMachine::Other(machine) => machine.on_timer(timer),
        };
        let lapse = effects.contains(&Effect::GaveUp).then_some(Lapse::NoAck);
        self.apply_server(now, id, effects, out);
        lapse
    }

    fn fire_client(
        &mut self,
        now: Instant,
        id: ClientKey,
        timer: Timer,
        out: &mut Outbox,
    ) -> Option<Lapse<U>> {
        let entry = self.clients.get_mut(id)?;
        entry.timers.retain(|(running, _)| *running != timer);
        let user = entry.user;
        let effects = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.on_timer(timer),
            ClientMachine::Other(machine) => machine.on_timer(timer),
        };
        let lapse = effects.contains(&Effect::GaveUp).then_some(Lapse::NoAnswer(user));
        self.apply_client(now, id, effects, None, out);
        lapse
    }

    /// The shell could not send to `flow`: whatever waits for its first answer from there has failed.
    pub(crate) fn send_failed(&mut self, now: Instant, flow: Flow, out: &mut Outbox) -> Vec<U> {
        let is_hit = |entry: &ClientEntry<U>| match flow.connection {
            Some(connection) => entry.flow.connection == Some(connection),
            None => entry.flow == flow,
        };
        self.give_up_where(now, is_hit, out)
    }

    /// A connection is gone: whatever waits for an answer over it has failed. Whoever listens may still answer an INVITE
    /// over a connection of its own (RFC 3261 section 18.2.2); what should have been answered at once was lost.
    pub(crate) fn connection_lost(&mut self, now: Instant, lost: Flow, out: &mut Outbox) -> Vec<U> {
        let is_hit = |entry: &ClientEntry<U>| match (entry.flow.connection, &entry.machine) {
            (None, ClientMachine::Other(_)) => {
                (entry.flow.transport, entry.flow.peer) == (lost.transport, lost.peer)
            }
            (None, ClientMachine::Invite(_)) => false,
            (connection, _) => connection == lost.connection,
        };
        self.give_up_where(now, is_hit, out)
    }

    fn give_up_where(
        &mut self,
        now: Instant,
        is_hit: impl Fn(&ClientEntry<U>) -> bool,
        out: &mut Outbox,
    ) -> Vec<U> {
        let hit: Vec<_> =
            self.clients.iter().filter(|(_, e)| is_hit(e) && e.awaits_final()).map(|(id, _)| id).collect();
        let mut users = Vec::with_capacity(hit.len());
        for id in hit {
            let entry = &mut self.clients[id];
            users.push(entry.user);
            let effects = match &mut entry.machine {
                ClientMachine::Invite(machine) => machine.give_up(),
                ClientMachine::Other(machine) => machine.give_up(),
            };
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

impl<U> ClientEntry<U> {
    fn awaits_final(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(machine) => {
                matches!(machine.state, client_invite::State::Calling | client_invite::State::Proceeding)
            }
            ClientMachine::Other(machine) => {
                matches!(machine.state, super::client::State::Trying | super::client::State::Proceeding)
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

/// The ACK to a refusal: the INVITE's Request-URI, top Via, From, Call-ID, number and Route, the response's To
/// (RFC 3261 section 17.1.1.3).
fn ack_of_refusal(invite: &Bytes, response: &Message) -> Option<Bytes> {
    let invite = lex(invite.clone(), crate::message::Transport::Datagram).ok()?;
    let mut ack = companion(&invite, Method::Ack)?;
    ack.copy(response, Name::To);
    Some(ack.finish())
}

/// The CANCEL of an INVITE of ours, and the branch that both share (RFC 3261 section 9.1).
pub(crate) fn cancel_of(invite: &Bytes) -> Option<(Bytes, String)> {
    let invite = lex(invite.clone(), crate::message::Transport::Datagram).ok()?;
    let mut cancel = companion(&invite, Method::Cancel)?;
    cancel.copy(&invite, Name::To);
    let branch = invite.top_via()?.branch()?.to_owned();
    Some((cancel.finish(), branch))
}

fn companion(invite: &Message, method: Method) -> Option<MessageWriter> {
    let (number, _) = invite.cseq()?;
    let mut writer = MessageWriter::request(&method, invite.request_uri());
    writer.header(Name::Via, invite.header(Name::Via)?);
    writer.header(Name::MaxForwards, 70);
    writer.copy(invite, Name::Route);
    writer.copy(invite, Name::From);
    writer.copy(invite, Name::CallId);
    writer.header(Name::CSeq, format_args!("{number} {}", method.as_str()));
    Some(writer)
}

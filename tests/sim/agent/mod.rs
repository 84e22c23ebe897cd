//! Scripted user agents, PBXs and carriers alike: small, without sockets, with transactions of their own.
//!
//! `caller` makes calls and reads responses, `callee` takes requests, `reliable` sees to provisional responses that must
//! arrive, `demand` asks for proofs, `registration` keeps a binding alive, `wire` writes messages and descriptions,
//! `mangle` as faulty peers do, `secure` the keys in them, `transactions` repeats and absorbs, `trouble` forgets. An
//! agent checks nothing: it does what its script says and keeps what it saw.

mod callee;
mod caller;
mod demand;
pub(crate) mod mangle;
pub(crate) mod manner;
mod registration;
mod reliable;
pub(crate) mod secure;
mod transactions;
mod trouble;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::message::{Message, Method, Transport, lex};
use sip_core::sdp::RemoteMedia;
use sip_core::types::{ConnectionId, Transport as Carriage};

use crate::dice::Dice;
use mangle::Mangling;
use manner::{Act, Change, Dial, Manner};
use registration::Registration;
use reliable::Unconfirmed;
use secure::Protection;
use transactions::{Client, Server};

/// RFC 3261 table 4.
pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);
pub(crate) const GIVE_UP: Duration = Duration::from_secs(32);

/// How far an agent's call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not answered yet.
    Early,
    Up,
    Over,
}

/// Which end of a call an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Caller,
    Callee,
}

/// One call as its agent sees it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) end: End,
    pub(crate) state: State,
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    remote_tag: Option<String>,
    /// From of our requests, without tag.
    local: String,
    /// To of our requests, without tag.
    remote: String,
    target: String,
    cseq: u32,
    /// Every status that the first INVITE got, in order, each once.
    pub(crate) statuses: Vec<u16>,
    /// The answers to our re-INVITEs, in order.
    pub(crate) reinvites: Vec<u16>,
    /// The answers to our other requests within the call.
    pub(crate) others: Vec<(Method, u16)>,
    /// The Reasons of the BYE that ended the call.
    pub(crate) bye_reason: Option<String>,
    /// Reason of the refusal.
    pub(crate) refusal_reason: Option<String>,
    /// When the call was up and when it was over.
    pub(crate) answered: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    /// What the other side said last of its media.
    pub(crate) remote_media: Option<RemoteMedia>,
    media_port: u16,
    sdp_version: u64,
    /// How often our key has changed.
    keys_changed: u8,
    /// Our own crypto line, if our media is protected, and the line of the other side's that we took.
    own_crypto: Option<String>,
    their_crypto: Option<String>,
    /// The provisional response that waits for its PRACK, and the number of the last one in either direction.
    unconfirmed: Option<Unconfirmed>,
    serial: u32,
    /// Whether offer and answer were exchanged before the 2xx.
    is_agreed: bool,
    /// What a second device has answered.
    second_answer: Option<Bytes>,
    /// What goes wrong with it is nobody's fault.
    is_excused: bool,
    dial: Option<Dial>,
    manner: Option<Manner>,
    has_shown_credentials: bool,
    is_cancelled: bool,
    /// Branch of our running INVITE, the first or a later one.
    inviting: Option<String>,
    /// What our running re-INVITE changes.
    changing: Option<Change>,
    /// Branch of our running UPDATE that makes an offer, and what it changes.
    updating: Option<(String, Change)>,
    retries: u8,
}

/// Something an agent has set itself for later.
#[derive(Clone, Debug)]
enum Step {
    Act(usize, Act),
    Early(usize, String, manner::Early),
    Final(usize, String),
    AnswerReinvite(usize, String),
    RingAgain(usize, u32),
    SecondDevice(usize, String),
    Register,
    /// The call is given up, whatever is outstanding.
    GiveUp(usize),
}

/// What became of an INVITE.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Final responses that differ in status or To tag: there must be one.
    pub(crate) finals: Vec<(u16, String)>,
    pub(crate) call_id: String,
    /// The agent hung up before the answer came, and may get none.
    pub(crate) is_waived: bool,
    /// One of the two broke down in between: anything may have come of it.
    pub(crate) is_excused: bool,
}

/// The identifiers of a call.
#[derive(Clone, Debug)]
pub(crate) struct Overheard {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// Of the running INVITE.
    pub(crate) branch: String,
}

/// A user agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    /// How incoming calls are treated; one is picked for each.
    pub(crate) manners: Vec<Manner>,
    pub(crate) calls: Vec<Call>,
    /// Every request and response that was no repetition, in order.
    pub(crate) heard: Vec<Message>,
    /// What became of each INVITE sent, by branch.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// Statuses of responses that belong to no request of ours: what was said by hand was answered by them.
    pub(crate) stray_responses: Vec<u16>,
    /// The same, whole.
    pub(crate) strays: Vec<Message>,
    /// Final answers of ours to INVITEs that were never acknowledged.
    pub(crate) unacknowledged: Vec<String>,
    /// Transactions of a gateway that died while its requests were on their way: nobody will acknowledge an answer.
    orphans: BTreeSet<String>,
    /// What it has challenged with.
    nonces: BTreeSet<String>,
    pub(crate) registration: Option<Registration>,
    /// Whether it has sent words that were not its own, which answers repeat to it.
    pub(crate) is_forger: bool,
    /// Whether it was cut off for a while: then answers of either side may have been repeated in vain.
    pub(crate) was_cut_off: bool,
    /// Whether somebody else was: then an offer of ours may never be answered, nor the 2xx that makes it be acknowledged.
    pub(crate) others_were_cut_off: bool,
    /// What is done to every response.
    pub(crate) mangling: Mangling,
    /// Whether a response was mangled so that nobody can tell what it answers.
    pub(crate) is_garbled: bool,
    /// Requests that came again.
    pub(crate) repetitions: usize,
    /// How it reaches the gateway; over TCP and TLS by this connection.
    pub(crate) transport: Carriage,
    pub(crate) line: Option<ConnectionId>,
    /// `sip` or `sips`.
    pub(crate) scheme: &'static str,
    /// Whether the gateway can connect to it.
    pub(crate) listens: bool,
    /// Its own idea of its address, behind a NAT.
    pub(crate) inside: Option<SocketAddr>,
    /// The Path of its REGISTER: the proxies that it stands behind.
    pub(crate) path: &'static str,
    /// What its REGISTER requires.
    pub(crate) requires: &'static str,
    /// Whether its program is down while its host is up, which says so.
    pub(crate) is_down: bool,
    /// What it gives as Reason in BYE, CANCEL and refusals.
    pub(crate) reasons: Vec<&'static str>,
    /// How it wants its media protected.
    pub(crate) protection: Protection,
    password: Option<String>,
    gateway: SocketAddr,
    dice: Dice,
    clients: Vec<Client>,
    servers: Vec<Server>,
    agenda: BTreeMap<(Instant, u64), Step>,
    serial: u64,
    out: Vec<Bytes>,
}

impl Agent {
    pub(crate) fn new(name: &'static str, address: SocketAddr, gateway: SocketAddr, dice: Dice) -> Self {
        Self {
            name,
            address,
            user: name.to_owned(),
            manners: vec![Manner::polite()],
            calls: Vec::new(),
            heard: Vec::new(),
            outcomes: BTreeMap::new(),
            stray_responses: Vec::new(),
            strays: Vec::new(),
            unacknowledged: Vec::new(),
            orphans: BTreeSet::new(),
            nonces: BTreeSet::new(),
            registration: None,
            is_forger: false,
            was_cut_off: false,
            others_were_cut_off: false,
            mangling: Mangling::None,
            is_garbled: false,
            repetitions: 0,
            transport: Carriage::Udp,
            line: None,
            scheme: "sip",
            listens: false,
            inside: None,
            path: "",
            requires: "",
            is_down: false,
            reasons: Vec::new(),
            protection: Protection::None,
            password: None,
            gateway,
            dice,
            clients: Vec::new(),
            servers: Vec::new(),
            agenda: BTreeMap::new(),
            serial: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn with_credentials(mut self, user: &str, password: &str) -> Self {
        self.user = user.to_owned();
        self.password = Some(password.to_owned());
        self
    }

    /// From now on it proves itself with this.
    pub(crate) fn learn_credentials(&mut self, user: &str, password: &str) {
        self.user = user.to_owned();
        self.password = Some(password.to_owned());
    }

    /// From now on the password is wrong.
    pub(crate) fn forget_password(&mut self) {
        self.password = Some("wrong".to_owned());
    }

    /// What somebody who overhears a call knows of it.
    pub(crate) fn overhear(&self, call: usize) -> Overheard {
        let call = &self.calls[call];
        Overheard {
            call_id: call.call_id.clone(),
            local_tag: call.local_tag.clone(),
            remote_tag: call.remote_tag.clone().unwrap_or_default(),
            branch: call.inviting.clone().unwrap_or_default(),
        }
    }

    /// A packet has come.
    pub(crate) fn receive(&mut self, now: Instant, bytes: Bytes) {
        let message = lex(bytes, Transport::Datagram).expect("the gateway sends nothing but SIP");
        if message.is_request() {
            self.on_request(now, &message);
        } else {
            self.on_response(now, &message);
        }
    }

    /// What is to be sent to the gateway.
    pub(crate) fn take_out(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.out)
    }

    /// Sends octets as they are, right or wrong.
    pub(crate) fn say(&mut self, text: &str) {
        self.is_forger = true;
        self.out.push(Bytes::copy_from_slice(text.as_bytes()));
    }

    fn send(&mut self, bytes: Bytes) {
        self.out.push(bytes);
    }

    fn plan(&mut self, at: Instant, step: Step) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), step);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let clients = self.clients.iter().flat_map(Client::deadlines);
        let servers = self.servers.iter().flat_map(Server::deadlines);
        let agenda = self.agenda.keys().next().map(|(at, _)| *at);
        clients.chain(servers).chain(agenda).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.repeat_requests(now);
        self.repeat_responses(now);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let step = entry.remove();
            self.take_step(now, step);
        }
    }

    fn take_step(&mut self, now: Instant, step: Step) {
        match step {
            Step::Act(call, act) => self.act(now, call, act),
            Step::Early(call, server, early) => self.ring(now, call, &server, early),
            Step::RingAgain(call, serial) => self.ring_again(now, call, serial),
            Step::Final(call, server) => self.conclude(now, call, &server),
            Step::AnswerReinvite(call, server) => self.answer_reinvite(now, call, &server),
            Step::SecondDevice(call, server) => self.second_device_answers(call, &server),
            Step::Register => self.register(now),
            Step::GiveUp(call) => self.give_up(now, call),
        }
    }

    /// Does something in a call, if the call's state allows it.
    pub(crate) fn act(&mut self, now: Instant, call: usize, act: Act) {
        let (end, state) = (self.calls[call].end, self.calls[call].state);
        match (act, state, end) {
            (Act::HangUp, State::Up, _) if self.waits_for_ack(call) => {
                self.plan(now + T1, Step::Act(call, act));
            }
            (Act::HangUp | Act::HangUpRudely, State::Up, _) => self.hang_up(now, call),
            (Act::HangUpOutOfOrder(by), State::Up, _) => {
                self.calls[call].cseq -= by;
                self.hang_up(now, call);
            }
            (Act::HangUp, State::Early, End::Caller) | (Act::Cancel, State::Early | State::Up, _) => {
                self.cancel(now, call);
            }
            (Act::Reinvite(change), State::Up, _) => self.reinvite(now, call, change),
            (Act::Info, State::Up, _) => self.info(now, call),
            (Act::Update(change), State::Up, _) if self.calls[call].updating.is_none() => {
                self.offer_by_update(now, call, change);
            }
            (Act::Update(change), State::Early, _) => self.offer_early(now, call, change),
            (Act::UpdateAgain(change), State::Up, _) => self.offer_by_update(now, call, change),
            (Act::Refresh(refresher), State::Up, _) => self.update(now, call, refresher),
            (Act::AcknowledgeAgain, State::Up, _) => self.acknowledge_again(call),
            (Act::AnswerAgain, State::Up, _) => self.answer_again(call),
            (Act::SecondAnswerAgain, State::Up, _) => self.second_answer_again(call),
            _ => {}
        }
    }

    /// The latest call.
    pub(crate) fn last_call(&self) -> &Call {
        self.calls.last().expect("the agent has had a call")
    }

    /// The requests heard with this method.
    pub(crate) fn requests(&self, method: Method) -> impl Iterator<Item = &Message> {
        self.heard.iter().filter(move |message| message.is_request() && *message.method() == method)
    }

    /// The responses heard to this method.
    pub(crate) fn responses(&self, method: Method) -> impl Iterator<Item = &Message> {
        self.heard.iter().filter(move |message| !message.is_request() && *message.method() == method)
    }

    /// The statuses of the responses heard to this method.
    pub(crate) fn statuses(&self, method: Method) -> Vec<u16> {
        self.responses(method).map(Message::status).collect()
    }

    /// Whether nothing is going on any more.
    pub(crate) fn is_idle(&self) -> bool {
        // A call that only rings here may have been given up without a word that arrived.
        let is_going_on = |call: &Call| match call.end {
            End::Caller => call.state != State::Over,
            End::Callee => call.state == State::Up,
        };
        !self.calls.iter().any(is_going_on)
    }

    fn call_of(&self, call_id: &str, local_tag: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.call_id == call_id && call.local_tag == local_tag)
    }

    fn is_over(&mut self, now: Instant, call: usize) {
        let call = &mut self.calls[call];
        call.state = State::Over;
        call.ended.get_or_insert(now);
    }
}

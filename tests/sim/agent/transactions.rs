//! The agent's own transactions: requests are repeated until they are answered, answers until they are acknowledged.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::message::{Message, Method};

use super::{Agent, GIVE_UP, State, T1, T2};

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) branch: String,
    pub(super) method: Method,
    pub(super) bytes: Bytes,
    pub(super) call: Option<usize>,
    pub(super) state: Sent,
    next: Option<Instant>,
    interval: Duration,
    end: Option<Instant>,
    /// The ACK to each final response, by To tag.
    pub(super) acks: Vec<(String, Bytes)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Trying,
    Proceeding,
    Done,
}

/// A request that came in.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) key: String,
    pub(super) request: Message,
    pub(super) call: Option<usize>,
    pub(super) state: Taken,
    last: Option<Bytes>,
    next: Option<Instant>,
    interval: Duration,
    end: Option<Instant>,
    /// The gateway died before its ACK.
    pub(super) is_excused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Proceeding,
    /// A 2xx to an INVITE waits for its ACK.
    Accepted,
    /// A refusal of an INVITE waits for its ACK.
    Refused,
    Done,
}

impl Client {
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.next.into_iter().chain(self.end)
    }

    /// A provisional response came: an INVITE is not repeated any more.
    pub(super) fn proceed(&mut self) {
        if self.state != Sent::Done {
            self.state = Sent::Proceeding;
            if self.method == Method::Invite {
                (self.next, self.end) = (None, None);
            }
        }
    }

    pub(super) fn finish(&mut self, now: Instant) {
        self.state = Sent::Done;
        (self.next, self.end) = (None, Some(now + GIVE_UP));
    }
}

impl Server {
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.next.into_iter().chain(self.end)
    }

    /// Keeps a provisional response for repetitions of the INVITE.
    pub(super) fn remember(&mut self, bytes: Bytes) {
        self.last = Some(bytes);
    }

    fn acknowledged(&mut self, now: Instant) {
        self.state = Taken::Done;
        (self.next, self.end) = (None, Some(now + GIVE_UP));
    }
}

/// The key of a request; an ACK leads to its INVITE.
pub(super) fn key_of(request: &Message) -> String {
    let branch = request.top_via().and_then(|via| via.branch().map(str::to_owned)).unwrap_or_default();
    let method = if *request.method() == Method::Ack { &Method::Invite } else { request.method() };
    format!("{branch}|{method}")
}

impl Agent {
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        branch: &str,
        method: Method,
        bytes: Bytes,
        call: Option<usize>,
    ) {
        self.send(bytes.clone());
        self.clients.push(Client {
            branch: branch.to_owned(),
            method,
            bytes,
            call,
            state: Sent::Trying,
            // RFC 3261 section 17.1: what goes over a connection is sent once.
            next: (!self.transport.is_reliable()).then(|| now + T1),
            interval: T1,
            end: Some(now + GIVE_UP),
            acks: Vec::new(),
        });
    }

    pub(super) fn start_server(&mut self, request: &Message, call: Option<usize>) -> String {
        let key = key_of(request);
        let is_excused = self.orphans.contains(&key);
        self.servers.push(Server {
            key: key.clone(),
            request: request.clone(),
            call,
            state: Taken::Proceeding,
            last: None,
            next: None,
            interval: T1,
            end: None,
            is_excused,
        });
        key
    }

    pub(super) fn server(&mut self, key: &str) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.key == key)
    }

    pub(super) fn client(&mut self, branch: &str, method: &Method) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.branch == branch && client.method == *method)
    }

    /// Sends a response and keeps it for repetitions.
    pub(super) fn respond(&mut self, now: Instant, key: &str, status: u16, bytes: Bytes) {
        let bytes = self.mangled(bytes);
        self.send(bytes.clone());
        let Some(server) = self.server(key) else { return };
        server.last = Some(bytes);
        if status < 200 {
            return;
        }
        server.end = Some(now + GIVE_UP);
        if *server.request.method() != Method::Invite {
            server.state = Taken::Done;
            return;
        }
        server.state = if status < 300 { Taken::Accepted } else { Taken::Refused };
        server.next = Some(now + T1);
    }

    /// Deals with repetitions and with ACKs to refusals; `false` if the request is new.
    pub(super) fn absorb(&mut self, now: Instant, request: &Message) -> bool {
        let key = key_of(request);
        let is_ack = *request.method() == Method::Ack;
        self.repetitions += usize::from(!is_ack && self.server(&key).is_some());
        let Some(server) = self.server(&key) else { return false };
        match (is_ack, server.state) {
            (true, Taken::Refused) => server.acknowledged(now),
            (true, Taken::Accepted) => return false,
            (false, Taken::Proceeding | Taken::Refused) | (false, Taken::Done) if server.last.is_some() => {
                // A 2xx is repeated by its own timer (RFC 6026); everything else for every repetition.
                let last = server.last.clone();
                let is_invite_done =
                    server.state == Taken::Done && *server.request.method() == Method::Invite;
                if let Some(last) = last.filter(|_| !is_invite_done) {
                    self.send(last);
                }
            }
            _ => {}
        }
        true
    }

    /// The ACK to a 2xx of ours: stops its repetition. Gives whose INVITE it was.
    pub(super) fn accept_ack(&mut self, now: Instant, call: usize, ack: &Message) -> bool {
        let number = ack.cseq().map(|(number, _)| number);
        let is_meant = |server: &&mut Server| {
            server.call == Some(call)
                && server.state == Taken::Accepted
                && server.request.cseq().map(|(number, _)| number) == number
        };
        match self.servers.iter_mut().find(is_meant) {
            Some(server) => {
                server.acknowledged(now);
                true
            }
            None => false,
        }
    }

    /// The 2xx to the first INVITE of a call, and to it alone, is sent again.
    pub(super) fn answer_again(&mut self, call: usize) {
        let is_invite =
            |server: &&Server| server.call == Some(call) && *server.request.method() == Method::Invite;
        let first =
            self.servers.iter().filter(is_invite).min_by_key(|server| server.request.cseq().map(|it| it.0));
        let answer = first.and_then(|server| server.last.clone()).expect("the call was answered of late");
        self.send(answer);
    }

    /// The other side hung up: what was said to its INVITEs is not repeated any more.
    pub(super) fn stop_repeating(&mut self, now: Instant, call: usize) {
        for server in self.servers.iter_mut().filter(|server| server.call == Some(call)) {
            if server.state == Taken::Accepted {
                server.acknowledged(now);
            }
        }
    }

    pub(super) fn repeat_requests(&mut self, now: Instant) {
        let mut again = Vec::new();
        for client in &mut self.clients {
            if client.next.is_some_and(|at| at <= now) && client.state != Sent::Done {
                again.push(client.bytes.clone());
                client.interval *= 2;
                if client.method != Method::Invite {
                    client.interval = client.interval.min(T2);
                }
                client.next = Some(now + client.interval);
            }
        }
        again.into_iter().for_each(|bytes| self.send(bytes));
        let (ended, running) = std::mem::take(&mut self.clients)
            .into_iter()
            .partition::<Vec<_>, _>(|client| client.end.is_some_and(|at| at <= now));
        self.clients = running;
        for client in ended.into_iter().filter(|client| client.state != Sent::Done) {
            self.on_unanswered(now, &client);
        }
    }

    /// Nothing of what is under way is known any more.
    pub(super) fn forget_transactions(&mut self) {
        self.clients.clear();
        self.servers.clear();
    }

    pub(super) fn forget_client(&mut self, branch: &str) {
        self.clients.retain(|client| client.branch != branch || client.method != Method::Invite);
    }

    fn on_unanswered(&mut self, now: Instant, client: &Client) {
        if let (Some(call), Method::Invite) = (client.call, &client.method) {
            match self.calls[call].state {
                State::Early => self.is_over(now, call),
                // RFC 3261 section 14.1: a re-INVITE without an answer ends the call.
                State::Up => self.hang_up(now, call),
                State::Over => {}
            }
        }
    }

    pub(super) fn repeat_responses(&mut self, now: Instant) {
        let mut again = Vec::new();
        for server in &mut self.servers {
            let is_waiting = matches!(server.state, Taken::Accepted | Taken::Refused);
            if is_waiting && server.next.is_some_and(|at| at <= now) {
                again.extend(server.last.clone());
                server.interval = (server.interval * 2).min(T2);
                server.next = Some(now + server.interval);
            }
        }
        again.into_iter().for_each(|bytes| self.send(bytes));
        let (ended, running) = std::mem::take(&mut self.servers)
            .into_iter()
            .partition::<Vec<_>, _>(|server| server.end.is_some_and(|at| at <= now));
        self.servers = running;
        for server in ended {
            // Whoever was told nothing for 64*T1 gave the call up, and knows no answer that comes afterwards.
            let is_offer_lost = self.others_were_cut_off && server.request.body().is_empty();
            let is_excused = self.was_cut_off
                || self.is_garbled
                || is_offer_lost
                || server.is_excused
                || server.call.is_some_and(|call| self.calls[call].is_excused);
            if matches!(server.state, Taken::Accepted | Taken::Refused) && !is_excused {
                self.unacknowledged.push(format!("{:?} of {}", server.state, server.key));
            }
            if let (Taken::Accepted, Some(call)) = (server.state, server.call)
                && self.calls[call].state == State::Up
            {
                self.hang_up(now, call);
            }
        }
    }
}

//! The loop around one [`Gateway`]: receive, handle, drain what it wants done, sleep until its next deadline.
//!
//! One task owns the gateway. It waits for inputs and for the clock and for nothing else: questions go to desks
//! that answer through a queue, messages go to sockets that take them at once or not at all.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sip_core::bans::{Ban, Banned};
use sip_core::directory::{Directory, Succession};
use sip_core::gateway::{Counts, Gateway, LiveCall};
use sip_core::refusal::Refusal;
use sip_core::settings::Tuning;
use sip_core::types::{Binding, CallUid, Flow, Now, Question, Reply};
use tokio::sync::{mpsc, oneshot};

use crate::net::{Inbound, Net};
use crate::observe::Observer;

/// Inputs handled before their outputs are sent; keeps the answer to the first from waiting for the last.
const BATCH: usize = 64;
/// Commands that may wait: people and the directory's reloads make few.
const COMMANDS: usize = 64;
/// Answers to questions that may wait; those who answer wait for room.
pub const REPLIES: usize = 16_384;

/// Whoever answers the core's questions. Must not wait.
pub trait Desk: Send + 'static {
    /// Takes a question; the answer comes back through the queue of replies, if the question has one.
    fn ask(&mut self, now: Now, question: Question);
}

/// What can be asked of a running engine.
enum Command {
    Bans(oneshot::Sender<Vec<Ban>>),
    Bindings(oneshot::Sender<Vec<Binding>>),
    Calls(oneshot::Sender<Vec<LiveCall>>),
    Counts(oneshot::Sender<Counts>),
    EndAllCalls(Refusal),
    EndCall(CallUid, Refusal, oneshot::Sender<bool>),
    RefuseNewCalls,
    ReleaseBan(Banned, oneshot::Sender<bool>),
    SetDirectory(Succession, oneshot::Sender<Arc<Directory>>),
    SetTuning(Box<Tuning>),
    Stop,
}

/// Speaks to a running engine. When the engine has stopped, questions are answered with nothing.
#[derive(Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
}

impl EngineHandle {
    /// The registered PBXs.
    pub async fn bindings(&self) -> Vec<Binding> {
        self.ask(Command::Bindings).await.unwrap_or_default()
    }

    /// The calls in set-up or running.
    pub async fn calls(&self) -> Vec<LiveCall> {
        self.ask(Command::Calls).await.unwrap_or_default()
    }

    /// How full the core's tables are; `None` once the engine has stopped.
    pub async fn counts(&self) -> Option<Counts> {
        self.ask(Command::Counts).await
    }

    /// Ends a call; `false` if there is no such call.
    pub async fn end_call(&self, call: CallUid, why: Refusal) -> bool {
        self.ask(|reply| Command::EndCall(call, why, reply)).await.unwrap_or_default()
    }

    /// Who is not heard for having guessed too many passwords.
    pub async fn bans(&self) -> Vec<Ban> {
        self.ask(Command::Bans).await.unwrap_or_default()
    }

    /// Ends a ban before its time; `false` if there is no such ban.
    pub async fn release_ban(&self, whom: Banned) -> bool {
        self.ask(|reply| Command::ReleaseBan(whom, reply)).await.unwrap_or_default()
    }

    /// Ends every call.
    pub async fn end_all_calls(&self, why: Refusal) {
        self.tell(Command::EndAllCalls(why)).await;
    }

    /// From now on new calls are refused; running ones go on.
    pub async fn refuse_new_calls(&self) {
        self.tell(Command::RefuseNewCalls).await;
    }

    /// Swaps the view of provisioning. Waits until it is in force, and gives the view that was until then.
    pub async fn set_directory(&self, succession: Succession) -> Option<Arc<Directory>> {
        self.ask(|reply| Command::SetDirectory(succession, reply)).await
    }

    /// Puts changed settings into use.
    pub async fn set_tuning(&self, tuning: Tuning) {
        self.tell(Command::SetTuning(Box::new(tuning))).await;
    }

    /// Ends the engine; calls that still run are left as they are.
    pub async fn stop(&self) {
        self.tell(Command::Stop).await;
    }

    async fn tell(&self, command: Command) {
        // An engine that has stopped needs no commands.
        let _stopped = self.commands.send(command).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await;
        answer.await.ok()
    }
}

/// The commands that a handle's engine has yet to obey.
pub struct Commands(mpsc::Receiver<Command>);

/// A handle and the other end of it. The parts around an engine hold the handle before the engine runs.
pub fn handle() -> (EngineHandle, Commands) {
    let (commands, waiting) = mpsc::channel(COMMANDS);
    (EngineHandle { commands }, Commands(waiting))
}

/// One gateway and what surrounds it.
pub struct Engine<D> {
    /// The signalling.
    pub gateway: Gateway,
    /// The sockets it speaks through.
    pub net: Arc<Net>,
    /// What the sockets bring.
    pub inbound: mpsc::Receiver<Inbound>,
    /// Whoever answers its questions.
    pub desk: D,
    /// The answers.
    pub replies: mpsc::Receiver<Reply>,
    /// Whoever is told what happens.
    pub observer: Observer,
}

/// The present moment, by this machine's clocks.
pub fn now() -> Now {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Now { monotonic: Instant::now(), unix_s }
}

impl<D: Desk> Engine<D> {
    /// Runs until it is told to stop, or every handle is dropped.
    pub async fn run(mut self, Commands(mut commands): Commands) {
        let mut inputs = Vec::with_capacity(BATCH);
        let mut replies = Vec::with_capacity(BATCH);
        self.flush(now());
        loop {
            let deadline = self.gateway.poll_timeout();
            let mut command = None;
            tokio::select! {
                // People first, then answers that calls wait for, then new work.
                biased;
                received = commands.recv() => match received {
                    None | Some(Command::Stop) => return,
                    received => command = received,
                },
                _ = self.replies.recv_many(&mut replies, BATCH), if !self.replies.is_closed() => {}
                _ = self.inbound.recv_many(&mut inputs, BATCH), if !self.inbound.is_closed() => {}
                () = sleep_until(deadline) => {}
            }
            let now = now();
            replies.drain(..).for_each(|reply| self.gateway.handle_reply(now, reply));
            inputs.drain(..).for_each(|input| self.receive(now, input));
            if self.gateway.poll_timeout().is_some_and(|at| at <= now.monotonic) {
                self.gateway.handle_timeout(now);
            }
            if let Some(command) = command {
                self.obey(now, command);
            }
            self.flush(now);
        }
    }

    fn receive(&mut self, now: Now, input: Inbound) {
        match input {
            Inbound::Datagram { flow, bytes, at } => {
                self.gateway.note_waited(now, now.monotonic.saturating_duration_since(at));
                self.gateway.handle_datagram(now, flow, bytes);
            }
            Inbound::Message { flow, bytes, at } => {
                self.gateway.note_waited(now, now.monotonic.saturating_duration_since(at));
                self.gateway.handle_stream(now, flow, bytes);
            }
            Inbound::Certified { flow, shown } => self.gateway.handle_connection_certified(now, flow, shown),
            Inbound::Lost(flow) => self.gateway.handle_connection_lost(now, flow),
            Inbound::SendFailed(flow) => self.gateway.handle_send_failed(now, flow),
        }
    }

    /// Does what the gateway wants done. A message that cannot be sent is an input, which may want more done.
    fn flush(&mut self, now: Now) {
        loop {
            let mut failed: Vec<Flow> = Vec::new();
            while let Some(transmit) = self.gateway.poll_transmit() {
                failed.extend(self.net.send(transmit).err());
            }
            while let Some(question) = self.gateway.poll_question() {
                self.desk.ask(now, question);
            }
            while let Some(event) = self.gateway.poll_event() {
                self.observer.observe(&event);
            }
            if failed.is_empty() {
                return;
            }
            failed.into_iter().for_each(|flow| self.gateway.handle_send_failed(now, flow));
        }
    }

    fn obey(&mut self, now: Now, command: Command) {
        // Whoever asked and did not wait for the answer does not need it.
        match command {
            Command::Bans(reply) => drop(reply.send(self.gateway.bans(now))),
            Command::Bindings(reply) => drop(reply.send(self.gateway.bindings().cloned().collect())),
            Command::Calls(reply) => drop(reply.send(self.gateway.live_calls())),
            Command::Counts(reply) => drop(reply.send(self.gateway.counts())),
            Command::EndAllCalls(why) => self.gateway.end_all_calls(now, why),
            Command::EndCall(call, why, reply) => {
                let is_live = self.gateway.live_calls().iter().any(|live| live.call == call);
                if is_live {
                    self.gateway.end_call(now, call, why);
                }
                let _unwanted = reply.send(is_live);
            }
            Command::RefuseNewCalls => self.gateway.refuse_new_calls(),
            Command::ReleaseBan(whom, reply) => drop(reply.send(self.gateway.release_ban(now, &whom))),
            Command::SetDirectory(succession, reply) => {
                drop(reply.send(self.gateway.set_directory(now, succession)));
            }
            Command::SetTuning(tuning) => self.gateway.set_tuning(*tuning),
            // The loop has ended instead.
            Command::Stop => {}
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

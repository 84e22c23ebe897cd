//! The loop around one [`Gateway`]: receive, handle, drain what it wants done, sleep until its next deadline.
//!
//! One task owns the gateway. It waits for inputs and for the clock and for nothing else: questions go to desks
//! that answer through a queue, messages go to sockets that take them at once or not at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sip_core::RefusedRegistration;
use sip_core::bans::{Ban, BanCounts, Banned};
use sip_core::directory::{Directory, Succession};
use sip_core::gateway::{CallsOf, Counts, Gateway, LiveCall};
use sip_core::refusal::Refusal;
use sip_core::settings::Tuning;
use sip_core::types::{
    Binding, CallUid, CarrierStanding, Event, Leg, Now, ProfileId, Question, Reply, Transmit,
};
use tokio::sync::{mpsc, oneshot};

use crate::net::{Inbound, Net};
use crate::observe::Observer;

/// Inputs handled before their outputs are sent; keeps the answer to the first from waiting for the last.
const BATCH: usize = 64;
/// Commands that may wait: people and the directory's reloads make few.
const COMMANDS: usize = 64;
/// Answers to questions that may wait; those who answer wait for room.
pub const REPLIES: usize = 16_384;
/// Things that a list gives at once: calls wait while they are copied. Longer lists are read in parts, and other work is
/// done in between.
pub const PART: usize = 256;
/// The same for identities alone.
const PART_OF_IDENTITIES: usize = 1_024;
/// Calls ended in one turn when all are to end.
const ENDED_AT_ONCE: usize = 64;

/// Whoever answers the core's questions. Must not wait.
pub trait Desk: Send + 'static {
    /// Takes a question; the answer comes back through the queue of replies, if the question has one.
    fn ask(&mut self, now: Now, question: Question);
}

/// What can be asked of a running engine.
enum Command {
    BanCounts(oneshot::Sender<BanCounts>),
    Bans(Option<Banned>, usize, oneshot::Sender<Vec<Ban>>),
    Bindings(Option<ProfileId>, usize, oneshot::Sender<Vec<Binding>>),
    BindingsOf(Vec<ProfileId>, oneshot::Sender<Vec<Binding>>),
    RefusedRegistrations(Option<ProfileId>, usize, oneshot::Sender<Vec<RefusedRegistration>>),
    RefusedRegistrationsOf(Vec<ProfileId>, oneshot::Sender<Vec<RefusedRegistration>>),
    Call(CallUid, oneshot::Sender<Option<LiveCall>>),
    Calls(CallsOf, Option<CallUid>, usize, oneshot::Sender<Vec<LiveCall>>),
    CallUids(Option<CallUid>, oneshot::Sender<Vec<CallUid>>),
    Carriers(oneshot::Sender<Vec<CarrierStanding>>),
    Counts(oneshot::Sender<Counts>),
    EndAllCalls(Refusal),
    EndCall(CallUid, Refusal, oneshot::Sender<bool>),
    MediaLocated(CallUid, Leg),
    RefuseNewCalls,
    Registered(Option<ProfileId>, oneshot::Sender<Vec<ProfileId>>),
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
    /// The next registered PBXs behind `after`, in the order of their profiles, `most` of them and no more than [`PART`].
    pub async fn bindings(&self, after: Option<ProfileId>, most: usize) -> Vec<Binding> {
        self.ask(|reply| Command::Bindings(after, most.min(PART), reply)).await.unwrap_or_default()
    }

    /// The first registered PBXs of these profiles, `most` of them or a few more.
    pub async fn bindings_of(&self, profiles: &[ProfileId], most: usize) -> Vec<Binding> {
        self.found_for(profiles, most, Command::BindingsOf).await
    }

    /// The next of the profiles behind `after` whose last REGISTER was refused, [`PART`] at most.
    pub async fn refused_registrations(
        &self,
        after: Option<ProfileId>,
        most: usize,
    ) -> Vec<RefusedRegistration> {
        let command = |reply| Command::RefusedRegistrations(after, most.min(PART), reply);
        self.ask(command).await.unwrap_or_default()
    }

    /// The first of these profiles whose last REGISTER was refused, `most` of them or a few more.
    pub async fn refused_registrations_of(
        &self,
        profiles: &[ProfileId],
        most: usize,
    ) -> Vec<RefusedRegistration> {
        self.found_for(profiles, most, Command::RefusedRegistrationsOf).await
    }

    /// The profiles whose PBXs are registered.
    pub async fn registered(&self) -> HashSet<ProfileId> {
        self.in_parts(Command::Registered).await
    }

    /// A call in set-up or running.
    pub async fn call(&self, call: CallUid) -> Option<LiveCall> {
        self.ask(|reply| Command::Call(call, reply)).await.flatten()
    }

    /// The next calls behind `after`, in the order of their identities, `most` of them and no more than [`PART`].
    pub async fn calls(&self, whose: CallsOf, after: Option<CallUid>, most: usize) -> Vec<LiveCall> {
        self.ask(|reply| Command::Calls(whose, after, most.min(PART), reply)).await.unwrap_or_default()
    }

    /// The identities of all calls.
    pub async fn call_uids(&self) -> HashSet<CallUid> {
        self.in_parts(Command::CallUids).await
    }

    /// How the carriers stand.
    pub async fn carriers(&self) -> Vec<CarrierStanding> {
        self.ask(Command::Carriers).await.unwrap_or_default()
    }

    /// How full the core's tables are; `None` once the engine has stopped.
    pub async fn counts(&self) -> Option<Counts> {
        self.ask(Command::Counts).await
    }

    /// Ends a call; `false` if there is no such call.
    pub async fn end_call(&self, call: CallUid, why: Refusal) -> bool {
        self.ask(|reply| Command::EndCall(call, why, reply)).await.unwrap_or_default()
    }

    /// Media has come for one half of a call from where its signalling says that it is.
    pub async fn media_located(&self, call: CallUid, leg: Leg) {
        self.tell(Command::MediaLocated(call, leg)).await;
    }

    /// Who is not heard for having guessed too many passwords: the next behind `after`, in order, `most` of them and no
    /// more than [`PART`].
    pub async fn bans(&self, after: Option<Banned>, most: usize) -> Vec<Ban> {
        self.ask(|reply| Command::Bans(after, most.min(PART), reply)).await.unwrap_or_default()
    }

    /// How many are not heard.
    pub async fn count_bans(&self) -> BanCounts {
        self.ask(Command::BanCounts).await.unwrap_or_default()
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

    /// Asks about a bounded number of profiles at a time, until enough is found.
    async fn found_for<T>(
        &self,
        profiles: &[ProfileId],
        most: usize,
        command: fn(Vec<ProfileId>, oneshot::Sender<Vec<T>>) -> Command,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for part in profiles.chunks(PART) {
            found.extend(self.ask(|reply| command(part.to_vec(), reply)).await.unwrap_or_default());
            if found.len() >= most {
                break;
            }
        }
        found
    }

    /// All parts of a list of identities.
    async fn in_parts<T: Copy + Eq + std::hash::Hash>(
        &self,
        part: impl Fn(Option<T>, oneshot::Sender<Vec<T>>) -> Command,
    ) -> HashSet<T> {
        let (mut all, mut after) = (HashSet::new(), None);
        loop {
            let part = self.ask(|reply| part(after, reply)).await.unwrap_or_default();
            all.extend(part.iter().copied());
            if part.len() < PART_OF_IDENTITIES {
                return all;
            }
            after = part.last().copied();
        }
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
    /// While all calls are being ended: why, and which one was ended last.
    ending: Option<(Refusal, Option<CallUid>)>,
}

/// The present moment, by this machine's clocks.
pub fn now() -> Now {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Now { monotonic: Instant::now(), unix_s }
}

impl<D: Desk> Engine<D> {
    /// An engine that is to [run](Self::run).
    pub fn new(
        gateway: Gateway,
        net: Arc<Net>,
        inbound: mpsc::Receiver<Inbound>,
        (desk, replies): (D, mpsc::Receiver<Reply>),
        observer: Observer,
    ) -> Self {
        Self { gateway, net, inbound, desk, replies, observer, ending: None }
    }

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
                () = std::future::ready(()), if self.ending.is_some() => {}
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
            self.end_more_calls(now);
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
            Inbound::Unreachable { flow, quoted } => self.gateway.handle_unreachable(now, flow, &quoted),
        }
    }

    /// Does what the gateway wants done. A message that cannot be sent is an input, which may want more done.
    fn flush(&mut self, now: Now) {
        loop {
            let mut unsent: Vec<Transmit> = Vec::new();
            while let Some(transmit) = self.gateway.poll_transmit() {
                let bytes = transmit.bytes.clone();
                unsent.extend(self.net.send(transmit).err().map(|flow| Transmit { flow, bytes }));
            }
            while let Some(question) = self.gateway.poll_question() {
                self.desk.ask(now, question);
            }
            while let Some(event) = self.gateway.poll_event() {
                if let Event::ConnectionProved(connection) = event {
                    self.net.prove(connection);
                }
                self.observer.observe(&event);
            }
            if unsent.is_empty() {
                return;
            }
            unsent.iter().for_each(|transmit| self.gateway.handle_unsent(now, transmit));
        }
    }

    /// Goes on with the end of all calls.
    fn end_more_calls(&mut self, now: Now) {
        if let Some((why, after)) = self.ending {
            let last = self.gateway.end_calls(now, after, ENDED_AT_ONCE, why);
            self.ending = last.map(|last| (why, Some(last)));
        }
    }

    fn obey(&mut self, now: Now, command: Command) {
        // Whoever asked and did not wait for the answer does not need it.
        match command {
            Command::Carriers(reply) => drop(reply.send(self.gateway.carriers(now))),
            Command::BanCounts(reply) => drop(reply.send(self.gateway.count_bans(now))),
            Command::Bans(after, most, reply) => {
                drop(reply.send(self.gateway.bans(now, after.as_ref(), most)));
            }
            Command::Bindings(after, most, reply) => drop(reply.send(self.gateway.bindings(after, most))),
            Command::BindingsOf(profiles, reply) => drop(reply.send(self.gateway.bindings_of(&profiles))),
            Command::RefusedRegistrations(after, most, reply) => {
                drop(reply.send(self.gateway.refused_registrations(after, most)));
            }
            Command::RefusedRegistrationsOf(profiles, reply) => {
                drop(reply.send(self.gateway.refused_registrations_of(&profiles)));
            }
            Command::Call(call, reply) => drop(reply.send(self.gateway.live_call(call))),
            Command::Calls(whose, after, most, reply) => {
                drop(reply.send(self.gateway.live_calls_of(whose, after, most)));
            }
            Command::CallUids(after, reply) => {
                drop(reply.send(self.gateway.call_uids(after, PART_OF_IDENTITIES)));
            }
            Command::Counts(reply) => drop(reply.send(self.gateway.counts())),
            Command::EndAllCalls(why) => self.ending = Some((why, None)),
            Command::EndCall(call, why, reply) => drop(reply.send(self.gateway.end_call(now, call, why))),
            Command::MediaLocated(call, leg) => self.gateway.handle_media_located(now, call, leg),
            Command::RefuseNewCalls => self.gateway.refuse_new_calls(),
            Command::Registered(after, reply) => {
                drop(reply.send(self.gateway.registered(after, PART_OF_IDENTITIES)));
            }
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

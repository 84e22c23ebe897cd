//! The one task of an agent: its socket, its timers, and all calls and requests in flight.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use sip_core::message::{Message, Name};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::audio::{Audio, AudioPort};
use super::client::Purpose;
use super::description::Offer;
use super::dialog::Dialog;
use super::link::Link;
use super::resend::{Due, GIVE_UP, Pace, Resender};
use super::{Call, CallEvent, Character, Ended, Heard, Incoming, Refused, Registered, Side, random_token};

/// With nothing to wait for, the task still looks up now and then.
const IDLE: Duration = Duration::from_secs(60);

/// What a handle asks for.
pub(super) enum Command {
    Register { reply: oneshot::Sender<Result<Registered, Refused>> },
    Call { from: Option<String>, to: String, reply: oneshot::Sender<Call> },
    HangUp { call_id: String },
}

/// One call from this side.
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    pub(super) stage: Stage,
    /// Until the audio begins.
    pub(super) port: Option<AudioPort>,
    /// Kept only because dropping it ends the audio.
    pub(super) audio: Option<Audio>,
    pub(super) heard: watch::Sender<Heard>,
    events: mpsc::UnboundedSender<CallEvent>,
}

/// How far a call has come.
pub(super) enum Stage {
    /// We have called and wait.
    Calling { offer: Offer, branch: String },
    /// We are called and ring.
    Ringing { invite: Box<Message>, tag: String, answers_at: Instant },
    /// Answered.
    Talking,
    /// We have sent BYE.
    Leaving,
}

impl Leg {
    /// A call whose handle may be gone: then nobody wants to know.
    pub(super) fn tell(&self, event: CallEvent) {
        let _ = self.events.send(event);
    }

    pub(super) fn ended(&self, by: Side, message: Option<&Message>) {
        let reason = message.and_then(|message| message.header(Name::Reason)).map(str::to_owned);
        self.tell(CallEvent::Ended(Ended { by, reason }));
    }
}

/// The task's state.
pub(super) struct Actor {
    pub(super) character: Character,
    pub(super) link: Link,
    /// Host and port that we write into Via and Contact.
    pub(super) host: String,
    pub(super) registration: Dialog,
    pub(super) refresh_at: Option<Instant>,
    /// Requests without a final answer, by branch.
    pub(super) requests: Resender<Purpose>,
    /// Final answers to INVITE without an ACK, by Call-ID.
    pub(super) answers: Resender<()>,
    pub(super) memory: Memory,
    pub(super) legs: HashMap<String, Leg>,
    /// What is to be sent at the end of this turn.
    pub(super) out: Vec<Bytes>,
    pub(super) arrivals: mpsc::UnboundedSender<Incoming>,
    /// For the handles of calls; it does not keep the agent alive.
    commands: mpsc::WeakUnboundedSender<Command>,
    orders: mpsc::UnboundedReceiver<Command>,
}

impl Actor {
    pub(super) fn new(
        character: Character,
        link: Link,
        commands: mpsc::WeakUnboundedSender<Command>,
        orders: mpsc::UnboundedReceiver<Command>,
        arrivals: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let host = character.believes.unwrap_or(link.local).to_string();
        let address = format!("sip:{}@{}", character.user, character.domain);
        Self {
            registration: Dialog::registration(&address, &format!("sip:{}", character.domain), &host),
            character,
            link,
            host,
            refresh_at: None,
            requests: Resender::default(),
            answers: Resender::default(),
            memory: Memory::default(),
            legs: HashMap::new(),
            out: Vec::new(),
            arrivals,
            commands,
            orders,
        }
    }

    /// Runs until its handle is dropped or its link is lost; either way all calls end with it.
    pub(super) async fn run(mut self) {
        if let Err(lost) = self.serve().await {
            tracing::warn!(peer = %self.link.peer, "the agent {} lost its link: {lost}", self.character.user);
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            for message in std::mem::take(&mut self.out) {
                self.link.send(&message).await?;
            }
            let wake = self.next_due();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return Ok(()),
                },
                message = self.link.receive() => self.take(&message?),
                () = sleep_until(wake) => self.tick(Instant::now()),
            }
        }
    }

    fn obey(&mut self, order: Command) {
        match order {
            Command::Register { reply } => self.send_register(None, Some(reply)),
            Command::Call { from, to, reply } => {
                // Without a port there is no call: the dropped `reply` says so.
                if let Ok(call) = self.place(from.as_deref(), &to) {
                    let _ = reply.send(call);
                }
            }
            Command::HangUp { call_id } => self.hang_up(&call_id),
        }
    }

    fn take(&mut self, message: &Message) {
        if message.is_request() {
            self.serve_request(message);
        } else {
            self.take_response(message);
        }
    }

    fn next_due(&self) -> Instant {
        let ringing = self.legs.values().filter_map(|leg| match leg.stage {
            Stage::Ringing { answers_at, .. } => Some(answers_at),
            _ => None,
        });
        let timers = [self.refresh_at, self.requests.next_due(), self.answers.next_due()];
        ringing.chain(timers.into_iter().flatten()).min().unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn tick(&mut self, now: Instant) {
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.send_register(None, None);
        }
        while let Some(due) = self.requests.poll(now) {
            match due {
                Due::Send(octets) => self.out.push(octets),
                Due::Failed(purpose) => self.unanswered(purpose),
            }
        }
        while let Some(due) = self.answers.poll(now) {
            if let Due::Send(octets) = due {
                self.out.push(octets);
            }
        }
        let is_due = |leg: &Leg| matches!(leg.stage, Stage::Ringing { answers_at, .. } if answers_at <= now);
        let due: Vec<_> = self.legs.iter().filter(|(_, leg)| is_due(leg)).map(|(id, _)| id.clone()).collect();
        for call_id in due {
            self.answer(&call_id);
        }
    }

    /// A handle and a leg that know each other.
    pub(super) fn pair(&self, dialog: Dialog, stage: Stage, port: AudioPort) -> Option<(Call, Leg)> {
        let (events, happenings) = mpsc::unbounded_channel();
        let (heard, hearing) = watch::channel(Heard::default());
        let call = Call {
            call_id: dialog.call_id.clone(),
            commands: self.commands.upgrade()?,
            events: happenings,
            heard: hearing,
        };
        Some((call, Leg { dialog, stage, port: Some(port), audio: None, heard, events }))
    }

    /// A new Via, and its branch.
    pub(super) fn via(&self) -> (String, String) {
        let branch = format!("z9hG4bK{}", random_token());
        (format!("SIP/2.0/{} {};rport;branch={branch}", self.link.via_name(), self.host), branch)
    }

    /// Our Contact.
    pub(super) fn contact(&self) -> String {
        format!("<sip:{}{}>", self.character.user, self.contact_tail())
    }

    /// Our Contact's URI behind the user.
    pub(super) fn contact_tail(&self) -> String {
        format!("@{}{}{}", self.host, self.link.contact_params(), self.character.contact_params)
    }

    /// How often to send something again on this link.
    pub(super) fn pace(&self, on_udp: Pace) -> Pace {
        if self.link.may_lose() { on_udp } else { Pace::Once }
    }
}

/// What was said a short while ago, to be said again to whoever has not heard it.
#[derive(Default)]
pub(super) struct Memory(HashMap<String, (Bytes, Instant)>);

impl Memory {
    /// Keeps words for as long as they may be asked for again.
    pub(super) fn keep(&mut self, key: String, octets: Bytes) {
        let now = Instant::now();
        self.0.retain(|_, (_, until)| *until > now);
        self.0.insert(key, (octets, now + GIVE_UP));
    }

    pub(super) fn recall(&self, key: &str) -> Option<Bytes> {
        self.0.get(key).map(|(octets, _)| octets.clone())
    }
}

//! A small SIP user agent over real sockets: it registers, calls, is called, and speaks in tones.
//!
//! It plays the PBXs and the carrier of the demonstration. One task owns an agent's socket and all that is in flight
//! (`actor`); [`Agent`] and [`Call`] are its handles. It shares the reading and writing of messages with the
//! gateway, and nothing of the gateway's transactions, dialogs or calls: what it finds, a stranger would find.

mod actor;
mod audio;
mod client;
mod description;
mod dialog;
mod link;
mod resend;
mod server;
#[cfg(test)]
mod tests;
mod tone;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use sip_core::message::{Message, Name};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::actor::{Actor, Command};
pub(crate) use self::audio::Heard;
pub(crate) use self::description::Security;
pub(crate) use self::link::Link;

/// Who an agent is and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Character {
    /// The user of its address and of its credentials.
    pub(crate) user: String,
    /// `None` for an agent that is known by its address.
    pub(crate) password: Option<String>,
    /// The host of its address.
    pub(crate) domain: String,
    /// The address it believes it has, where a NAT gives it another one.
    pub(crate) believes: Option<SocketAddr>,
    /// More parameters of its Contact, such as `;rinstance=1`.
    pub(crate) contact_params: &'static str,
    /// Its User-Agent.
    pub(crate) product: &'static str,
    /// What it says in every call.
    pub(crate) tone_hz: u16,
    /// How its media is protected.
    pub(crate) security: Security,
    /// How long it rings before it answers.
    pub(crate) rings_for: Duration,
}

/// A registration as granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// Seconds until it ends unless refreshed; the agent refreshes it by itself.
    pub(crate) expires_s: u32,
}

/// A request that was refused, or never answered (status 408).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The SIP status.
    pub(crate) status: u16,
    phrase: String,
    /// The Reason header field.
    pub(crate) reason: Option<String>,
}

impl Refused {
    fn by(response: &Message) -> Self {
        Self {
            status: response.status(),
            phrase: response.reason_phrase().to_owned(),
            reason: response.header(Name::Reason).map(str::to_owned),
        }
    }

    /// A refusal of our own making.
    pub(crate) fn locally(status: u16, phrase: &str) -> Self {
        Self { status, phrase: phrase.to_owned(), reason: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.phrase)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, " (Reason: {reason})"))
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This agent.
    Us,
    /// The gateway, or who is behind it.
    Them,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// By whom.
    pub(crate) by: Side,
    /// The Reason header field of their BYE or CANCEL.
    pub(crate) reason: Option<String>,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CallEvent {
    Answered,
    Refused(Refused),
    Ended(Ended),
}

/// One call.
pub(crate) struct Call {
    call_id: String,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<CallEvent>,
    heard: watch::Receiver<Heard>,
}

impl Call {
    /// Waits for the answer, which makes the audio begin.
    pub(crate) async fn answered(&mut self, within: Duration) -> Result<(), Refused> {
        match timeout(within, self.events.recv()).await {
            Ok(Some(CallEvent::Answered)) => Ok(()),
            Ok(Some(CallEvent::Refused(refused))) => Err(refused),
            Ok(Some(CallEvent::Ended(_))) => Err(Refused::locally(487, "ended before it was answered")),
            Ok(None) => Err(Refused::locally(503, "the agent has lost its link")),
            Err(_) => Err(Refused::locally(408, "no answer")),
        }
    }

    /// Waits for the end of a call that was answered; `None` if it goes on.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<Ended> {
        let end = async {
            loop {
                if let CallEvent::Ended(ended) = self.events.recv().await? {
                    return Some(ended);
                }
            }
        };
        timeout(within, end).await.ok().flatten()
    }

    /// Waits until that tone is heard without a break for a second; what is heard in the end.
    pub(crate) async fn hears(&mut self, tone_hz: u16, within: Duration) -> Heard {
        let tone = self.heard.wait_for(|heard| heard.is_steady(tone_hz));
        // A timeout or the end of the call is no error: what was heard last is the answer.
        let _ = timeout(within, tone).await.map(|heard| heard.map(drop));
        *self.heard.borrow()
    }

    /// Ends the call and waits until the other side has taken note.
    pub(crate) async fn hang_up(&mut self) -> Option<Ended> {
        // An actor that is gone has no call to end.
        let _ = self.commands.send(Command::HangUp { call_id: self.call_id.clone() });
        self.ended(Duration::from_secs(5)).await
    }
}

/// A call that has come in; it rings, and is answered without further ado.
pub(crate) struct Incoming {
    /// The INVITE as it came.
    pub(crate) invite: Message,
    /// The call.
    pub(crate) call: Call,
}

/// A running agent; it ends when dropped.
pub(crate) struct Agent {
    commands: mpsc::UnboundedSender<Command>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    /// What follows the user in its Contact.
    contact_tail: String,
    _task: AbortOnDropHandle<()>,
}

impl Agent {
    /// Begins to live on a link.
    pub(crate) fn start(character: Character, link: Link) -> Self {
        let (commands, orders) = mpsc::unbounded_channel();
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let actor = Actor::new(character, link, commands.downgrade(), orders, arrivals);
        let contact_tail = actor.contact_tail();
        let task = AbortOnDropHandle::new(tokio::spawn(actor.run()));
        Self { commands, incoming, contact_tail, _task: task }
    }

    /// The URI by which this agent expects calls to a user or number behind its registration.
    pub(crate) fn reached_as(&self, user: &str) -> String {
        format!("sip:{user}{}", self.contact_tail)
    }

    /// Registers, and keeps the registration from then on.
    pub(crate) async fn register(&self) -> Result<Registered, Refused> {
        let (reply, answer) = oneshot::channel();
        // If the actor is gone, so is `reply`, and the answer says it.
        let _ = self.commands.send(Command::Register { reply });
        answer.await.unwrap_or_else(|_| Err(Refused::locally(503, "the agent has lost its link")))
    }

    /// Calls a user or number at the gateway, as ourselves.
    pub(crate) async fn call(&self, to: &str) -> Result<Call, Refused> {
        self.call_as(None, to).await
    }

    /// Calls in somebody's name, as a carrier does.
    pub(crate) async fn call_from(&self, from: &str, to: &str) -> Result<Call, Refused> {
        self.call_as(Some(from), to).await
    }

    async fn call_as(&self, from: Option<&str>, to: &str) -> Result<Call, Refused> {
        let (reply, answer) = oneshot::channel();
        let order = Command::Call { from: from.map(str::to_owned), to: to.to_owned(), reply };
        let _ = self.commands.send(order);
        answer.await.map_err(|_| Refused::locally(503, "the agent has lost its link"))
    }

    /// The next call that comes in.
    pub(crate) async fn next_call(&mut self, within: Duration) -> Option<Incoming> {
        timeout(within, self.incoming.recv()).await.ok().flatten()
    }
}

/// 64 random bits.
fn random() -> u64 {
    getrandom::u64().expect("the system has randomness")
}

/// A random word for tags, branches and Call-IDs.
fn random_token() -> String {
    format!("{:016x}", random())
}

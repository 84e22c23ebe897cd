//! Carries the core's questions about media to the relay, and the answers back.
//!
//! The relay does a call's commands in the order they are given, so nothing here waits for one before the next.

mod report;
mod words;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media_relay::engine::{
    self, AddressHint, EngineConfig, Events, LegSetup, LocalAddress, MediaError, MediaEvent, MediaId,
};
use media_relay::session::{LocalDescription, Policy, RemoteDescription, Role, SessionEvent};
use sip_core::refusal::Refusal;
use sip_core::types::{CallUid, Leg, Question, Reply, SdpRole, SecureMedia};
use tokio::sync::mpsc;

use self::words::{described, leg, local_media, policy, refusal, side};
use crate::config::{MediaAddress, MediaConfig};
use crate::engine::EngineHandle;
use crate::net;

pub use self::report::Report;

/// Stands for "never": longer than any call.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The relay's configuration.
pub fn relay_config(config: &MediaConfig) -> EngineConfig {
    // Who is told an address expects packets from there. A socket at every address sends from whichever the system likes.
    let bind = |a: &MediaAddress| {
        let is_told_ours = a.bind.is_unspecified() && net::is_ours(a.advertised());
        if is_told_ours { a.advertised() } else { a.bind }
    };
    let address = |a: &MediaAddress| LocalAddress { bind: bind(a), advertise: a.advertised() };
    let addresses = config.addresses.iter().map(address).collect();
    let mut relay = EngineConfig::new(addresses, config.ports.first..=config.ports.last);
    relay.workers = config.workers;
    relay.media_silence = if config.silence_s == 0 { NEVER } else { Duration::from_secs(config.silence_s) };
    relay
}

/// The engine's end: takes questions without waiting.
pub struct Media {
    relay: engine::Engine,
    replies: mpsc::Sender<Reply>,
    calls: HashMap<CallUid, CallMedia>,
    last_id: u64,
    known: Calls,
    /// Of the call closed last: its records come right behind.
    report: Option<Report>,
}

/// What is known of a call's media.
struct CallMedia {
    id: MediaId,
    /// Who made the offer that is not yet answered, the first of the call.
    unanswered_offer: Option<Leg>,
}

/// Whose media it is; shared with the task that listens to the relay.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<HashMap<MediaId, CallUid>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<MediaId, CallUid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Media {
    /// A desk in front of a running relay. `replies` leads to the engine.
    pub fn new(relay: engine::Engine, replies: mpsc::Sender<Reply>) -> Self {
        Self { relay, replies, calls: HashMap::new(), last_id: 0, known: Calls::default(), report: None }
    }

    /// The task that hears of what the relay notices, and ends calls that have fallen silent.
    pub fn silence(&self, events: Events, gateway: EngineHandle) -> impl Future<Output = ()> + Send + use<> {
        listen(self.known.clone(), events, gateway)
    }

    /// Takes a question about media; gives back any other.
    pub fn ask(&mut self, question: Question) -> Option<Question> {
        match question {
            Question::Media { call, from, role, remote, secure, speaker, toward } => {
                let description = described(&remote, &speaker);
                match role {
                    SdpRole::Offer => self.offer((call, from), description, secure, toward),
                    SdpRole::EarlyAnswer => self.answer(call, from, Role::EarlyAnswer, description),
                    SdpRole::Answer => self.answer(call, from, Role::Answer, description),
                }
            }
            Question::EchoMedia { call, remote, speaker } => {
                let offer = described(&remote, &speaker);
                let (id, opened) = self.open_echo(call, offer.policy, hint_of(&offer));
                let answer = self.relay.echo(id, offer);
                self.reply(call, opened, answer);
            }
            Question::EchoOffer { call, secure, toward } => {
                let (id, opened) = self.open_echo(call, policy(secure), AddressHint::Prefer(toward));
                let offer = self.relay.echo_offer(id);
                self.reply(call, opened, offer);
            }
            Question::EchoAnswer { call, remote, speaker } => {
                let id = self.id_of(call, Leg::Caller);
                let agreed = self.relay.echo_answer(id, described(&remote, &speaker));
                self.reply(call, None, agreed);
            }
            Question::AnswerMedia { call, from, remote, speaker } => {
                let id = self.id_of(call, from);
                let answer = self.relay.answer_alone(id, side(from), described(&remote, &speaker));
                self.reply(call, None, answer);
            }
            Question::WatchMedia { call } => {
                if let Some(media) = self.calls.get(&call) {
                    log_failure(call, "watched", self.relay.watch(media.id));
                }
            }
            Question::RollbackMedia { call } => {
                if let Some(media) = self.calls.get(&call) {
                    log_failure(call, "taken back to what it was", self.relay.rollback(media.id));
                }
            }
            Question::CloseMedia { call } => self.close(call),
            other => return Some(other),
        }
        None
    }

    fn offer(
        &mut self,
        (call, from): (CallUid, Leg),
        description: RemoteDescription,
        secure: SecureMedia,
        toward: IpAddr,
    ) {
        let speaker = LegSetup { policy: description.policy, address: hint_of(&description) };
        let listener = LegSetup { policy: policy(secure), address: AddressHint::Prefer(toward) };
        let is_new = !self.calls.contains_key(&call);
        let id = self.id_of(call, from);
        let prepared = if is_new {
            let (caller, callee) =
                if from == Leg::Caller { (speaker, listener) } else { (listener, speaker) };
            Some(self.relay.open(id, caller, Some(callee)))
        } else if self.calls.get(&call).is_some_and(|media| media.unanswered_offer == Some(from)) {
            // The same offer to the next carrier: what the last one was told must not be used again.
            Some(self.relay.replace(id, side(from.other()), listener))
        } else {
            None
        };
        let answer = self.relay.describe(id, side(from), Role::Offer, description);
        self.reply(call, prepared, answer);
    }

    fn answer(&mut self, call: CallUid, from: Leg, role: Role, description: RemoteDescription) {
        let id = self.id_of(call, from);
        if let Some(media) = self.calls.get_mut(&call) {
            media.unanswered_offer = media.unanswered_offer.filter(|_| role == Role::EarlyAnswer);
        }
        let answer = self.relay.describe(id, side(from), role, description);
        self.reply(call, None, answer);
    }

    fn open_echo(
        &mut self,
        call: CallUid,
        policy: Policy,
        address: AddressHint,
    ) -> (MediaId, Option<engine::Reply<()>>) {
        let is_new = !self.calls.contains_key(&call);
        let id = self.id_of(call, Leg::Caller);
        let setup = LegSetup { policy, address };
        (id, is_new.then(|| self.relay.open(id, setup, None)))
    }

    /// The counts of a call whose media was closed just now.
    pub fn report(&self, call: CallUid) -> Option<Report> {
        self.report.clone().filter(|report| report.call == call)
    }

    fn close(&mut self, call: CallUid) {
        let Some(media) = self.calls.remove(&call) else { return };
        self.known.lock().remove(&media.id);
        let closed = self.relay.close(media.id);
        let (report, counts) = Report::new(call);
        self.report = Some(report);
        tokio::spawn(async move {
            match closed.await {
                Ok(stats) => {
                    tracing::debug!(%call, ?stats, "The call's media ended.");
                    // A call without records has nobody who reads it.
                    let _unread = counts.send(Some(stats));
                }
                // An open that failed left nothing to close.
                Err(MediaError::UnknownCall) => {}
                Err(error) => tracing::warn!(%call, %error, "The call's media could not be closed."),
            }
        });
    }

    fn id_of(&mut self, call: CallUid, from: Leg) -> MediaId {
        if let Some(media) = self.calls.get(&call) {
            return media.id;
        }
        self.last_id += 1;
        let id = MediaId(self.last_id);
        self.calls.insert(call, CallMedia { id, unanswered_offer: Some(from) });
        self.known.lock().insert(id, call);
        id
    }

    fn reply(
        &self,
        call: CallUid,
        before: Option<engine::Reply<()>>,
        answer: engine::Reply<LocalDescription>,
    ) {
        let replies = self.replies.clone();
        tokio::spawn(async move {
            let outcome = async {
                if let Some(before) = before {
                    before.await?;
                }
                answer.await
            };
            let result = match outcome.await {
                Ok(local) => Ok(local_media(local)),
                Err(error) => {
                    let refusal = refusal(error);
                    tracing::info!(%call, reason = refusal.code(), "The media was refused: {error}.");
                    Err(refusal)
                }
            };
            // An engine that is gone needs no answer.
            let _gone = replies.send(Reply::Media { call, result }).await;
        });
    }
}

/// Where media is taken from a peer that speaks first: at an address of the family that it describes.
fn hint_of(description: &RemoteDescription) -> AddressHint {
    if description.ip.is_unspecified() {
        // A hold as of RFC 2543 tells no address.
        description.hosts.signalling.map_or(AddressHint::Any, AddressHint::Prefer)
    } else {
        AddressHint::Like(description.ip)
    }
}

fn log_failure(call: CallUid, wish: &'static str, reply: engine::Reply<()>) {
    tokio::spawn(async move {
        match reply.await {
            // It was refused, and its call is about to end.
            Ok(()) | Err(MediaError::UnknownCall) => {}
            Err(error) => tracing::warn!(%call, %error, "The call's media could not be {wish}."),
        }
    });
}

async fn listen(calls: Calls, mut events: Events, gateway: EngineHandle) {
    while let Some(MediaEvent { id, event }) = events.recv().await {
        let Some(call) = calls.lock().get(&id).copied() else { continue };
        match event {
            SessionEvent::FirstPacket { .. } => {}
            SessionEvent::Located { side } => gateway.media_located(call, leg(side)).await,
            SessionEvent::Unauthentic { side, packets } => {
                tracing::warn!(%call, ?side, packets, "SRTP packets failed authentication.");
            }
            SessionEvent::Unproved { side } => tracing::warn!(
                %call,
                ?side,
                "Media goes to an address that has sent nothing and is not the signalling's: it is slowed down to a packet a second."
            ),
            SessionEvent::Silent { .. } => {
                gateway.end_call(call, Refusal::MediaSilent).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::sdp::{Direction, MediaProfile, RemoteMedia};
    use sip_core::types::Speaker;

    /// The relay itself, on loopback: an offer, the same to a second carrier, an answer, a close.
    #[tokio::test]
    async fn a_second_carrier_is_told_other_ports() {
        let text = "node: {domain: d}\nsip: {listen: [{transport: udp, address: \"127.0.0.1:5060\"}]}\nmedia: {addresses: [{bind: \"127.0.0.1\"}], ports: 32000-32400, workers: 1}\n";
        let config = crate::config::Config::from_text("x", text, []).unwrap();
        let (relay, _events) = engine::Engine::start(relay_config(&config.media)).unwrap();
        let (sender, mut replies) = mpsc::channel(8);
        let mut media = Media::new(relay.clone(), sender);
        let (call, here) = (CallUid(1), "127.0.0.1".parse().unwrap());
        let plain = RemoteMedia {
            host: "127.0.0.1".to_owned(),
            ip: Some(here),
            rtp_port: 4000,
            rtcp_port: None,
            rtcp_mux: false,
            profile: MediaProfile::Avp,
            crypto: Vec::new(),
            direction: Direction::SendRecv,
            on_hold: false,
            payloads: Vec::new(),
            codecs: Vec::new(),
        };
        let question = |from, role| Question::Media {
            call,
            from,
            role,
            remote: plain.clone(),
            secure: SecureMedia::Off,
            speaker: Speaker {
                signalling: here,
                networks: Arc::default(),
                may_secure: SecureMedia::Optional,
            },
            toward: here,
        };
        let mut ports = Vec::new();
        for (from, role) in [
            (Leg::Caller, SdpRole::Offer),
            (Leg::Caller, SdpRole::Offer),
            (Leg::Callee, SdpRole::Answer),
            (Leg::Caller, SdpRole::Offer),
        ] {
            assert!(media.ask(question(from, role)).is_none());
            let Some(Reply::Media { result: Ok(local), .. }) = replies.recv().await else { panic!() };
            ports.push(local.rtp_port);
        }
        assert_ne!(ports[0], ports[1], "the first carrier may still send to the old port");
        assert_ne!(ports[1], ports[2], "caller and callee each have their own");
        assert_eq!(ports[1], ports[3], "a re-INVITE keeps what is in use");
        assert!(media.ask(Question::CloseMedia { call }).is_none());
        let closed = tokio::time::timeout(Duration::from_secs(5), async {
            while relay.gauges().calls > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        closed.await.unwrap();
    }
}

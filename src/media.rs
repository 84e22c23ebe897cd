//! Carries the core's questions about media to the relay, and the answers back.
//!
//! The relay does a call's commands in the order they are given, so nothing here waits for one before the next.

mod report;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media_relay::engine::{
    self, AddressHint, EngineConfig, Events, LegSetup, LocalAddress, MediaError, MediaId,
};
use media_relay::session::{
    Flow, LocalDescription, NegotiationError, Policy, Profile, RemoteDescription, Role, SessionEvent, Side,
};
use sip_core::refusal::Refusal;
use sip_core::sdp::{Direction, LocalMedia, MediaProfile, RemoteMedia};
use sip_core::types::{CallUid, Leg, Question, Reply, SdpRole, SecureMedia};
use tokio::sync::mpsc;

use crate::config::MediaConfig;
use crate::engine::EngineHandle;

pub use self::report::Report;

/// Stands for "never": longer than any call.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The relay's configuration.
pub fn relay_config(config: &MediaConfig) -> EngineConfig {
    let address = |a: &crate::config::MediaAddress| LocalAddress { bind: a.bind, advertise: a.advertised() };
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
    sounds: Sounds,
    /// Of the call closed last: its records come right behind.
    report: Option<Report>,
}

/// What is known of a call's media.
struct CallMedia {
    id: MediaId,
    /// Who made the offer that is not yet answered, the first of the call.
    unanswered_offer: Option<Leg>,
}

/// Which sides of which calls are silent; shared with the task that ends calls without any sound.
#[derive(Clone, Default)]
struct Sounds(Arc<Mutex<HashMap<MediaId, Sound>>>);

struct Sound {
    call: CallUid,
    is_silent: [bool; 2],
}

impl Sounds {
    fn lock(&self) -> MutexGuard<'_, HashMap<MediaId, Sound>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event; the call that has no sound at all any more, if it is one by this event.
    fn note(&self, id: MediaId, event: SessionEvent) -> Option<CallUid> {
        let mut sounds = self.lock();
        let sound = sounds.get_mut(&id)?;
        match event {
            SessionEvent::FirstPacket { side } | SessionEvent::Resumed { side } => {
                sound.is_silent[side.index()] = false;
                None
            }
            SessionEvent::Silent { side, .. } => {
                sound.is_silent[side.index()] = true;
                (sound.is_silent == [true; 2]).then_some(sound.call)
            }
            SessionEvent::Unauthentic { .. } => None,
        }
    }
}

impl Media {
    /// A desk in front of a running relay. `replies` leads to the engine.
    pub fn new(relay: engine::Engine, replies: mpsc::Sender<Reply>) -> Self {
        Self { relay, replies, calls: HashMap::new(), last_id: 0, sounds: Sounds::default(), report: None }
    }

    /// The task that ends calls in which nobody is heard any more.
    pub fn silence(&self, events: Events, gateway: EngineHandle) -> impl Future<Output = ()> + Send + use<> {
        listen(self.sounds.clone(), events, gateway)
    }

    /// Takes a question about media; gives back any other.
    pub fn ask(&mut self, question: Question) -> Option<Question> {
        match question {
            Question::Media { call, from, role, remote, secure, near, toward } => {
                let description = described(&remote, near);
                match role {
                    SdpRole::Offer => self.offer(call, from, description, secure, near, toward),
                    SdpRole::EarlyAnswer => self.answer(call, from, Role::EarlyAnswer, description),
                    SdpRole::Answer => self.answer(call, from, Role::Answer, description),
                }
            }
            Question::EchoMedia { call, remote, toward } => {
                self.echo(call, described(&remote, toward), toward)
            }
            Question::EchoOffer { call, secure, toward } => {
                let (id, opened) = self.open_echo(call, policy(secure), toward);
                let offer = self.relay.echo_offer(id);
                self.reply(call, opened, offer);
            }
            Question::EchoAnswer { call, remote, toward } => {
                let id = self.id_of(call, Leg::Caller);
                let agreed = self.relay.echo_answer(id, described(&remote, toward));
                self.reply(call, None, agreed);
            }
            Question::AnswerMedia { call, remote, toward } => {
                let id = self.id_of(call, Leg::Caller);
                let answer = self.relay.answer_alone(id, described(&remote, toward));
                self.reply(call, None, answer);
            }
            Question::RollbackMedia { call } => {
                if let Some(media) = self.calls.get(&call) {
                    log_failure(call, self.relay.rollback(media.id));
                }
            }
            Question::CloseMedia { call } => self.close(call),
            other => return Some(other),
        }
        None
    }

    fn offer(
        &mut self,
        call: CallUid,
        from: Leg,
        description: RemoteDescription,
        secure: SecureMedia,
        near: IpAddr,
        toward: IpAddr,
    ) {
        // The leg that speaks first is taken as it comes; whether that will do is the core's to say.
        let speaker = LegSetup { policy: Policy::Optional, address: AddressHint::Like(near) };
        let listener = LegSetup { policy: policy(secure), address: AddressHint::Like(toward) };
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

    fn echo(&mut self, call: CallUid, offer: RemoteDescription, toward: IpAddr) {
        let (id, opened) = self.open_echo(call, Policy::Optional, toward);
        let answer = self.relay.echo(id, offer);
        self.reply(call, opened, answer);
    }

    fn open_echo(
        &mut self,
        call: CallUid,
        policy: Policy,
        toward: IpAddr,
    ) -> (MediaId, Option<engine::Reply<()>>) {
        let is_new = !self.calls.contains_key(&call);
        let id = self.id_of(call, Leg::Caller);
        let setup = LegSetup { policy, address: AddressHint::Like(toward) };
        let opened = is_new.then(|| self.relay.open(id, setup, None));
        if is_new && let Some(sound) = self.sounds.lock().get_mut(&id) {
            // There is nobody on the far side to be heard.
            sound.is_silent[Side::Far.index()] = true;
        }
        (id, opened)
    }

    /// The counts of a call whose media was closed just now.
    pub fn report(&self, call: CallUid) -> Option<Report> {
        self.report.clone().filter(|report| report.call == call)
    }

    fn close(&mut self, call: CallUid) {
        let Some(media) = self.calls.remove(&call) else { return };
        self.sounds.lock().remove(&media.id);
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
        self.sounds.lock().insert(id, Sound { call, is_silent: [false; 2] });
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

fn log_failure(call: CallUid, reply: engine::Reply<()>) {
    tokio::spawn(async move {
        if let Err(error) = reply.await {
            tracing::warn!(%call, %error, "The media could not be taken back to what it was.");
        }
    });
}

async fn listen(sounds: Sounds, mut events: Events, gateway: EngineHandle) {
    while let Some(happened) = events.recv().await {
        if let SessionEvent::Unauthentic { side, packets } = happened.event
            && let Some(call) = sounds.lock().get(&happened.id).map(|sound| sound.call)
        {
            tracing::warn!(%call, ?side, packets, "SRTP packets failed authentication.");
        }
        if let Some(call) = sounds.note(happened.id, happened.event) {
            gateway.end_call(call, Refusal::MediaSilent).await;
        }
    }
}

fn side(leg: Leg) -> Side {
    match leg {
        Leg::Caller => Side::Near,
        Leg::Callee => Side::Far,
    }
}

fn policy(secure: SecureMedia) -> Policy {
    match secure {
        SecureMedia::Off => Policy::Off,
        SecureMedia::Optional => Policy::Optional,
        SecureMedia::Required => Policy::Required,
    }
}

/// A peer's description in the relay's words. Where a name stands for the address, the signalling's address is
/// taken: symmetric RTP finds the rest, and of those it does not expect it trusts the signalling's host first.
fn described(remote: &RemoteMedia, signalling: IpAddr) -> RemoteDescription {
    let ip = remote.ip.unwrap_or(signalling);
    RemoteDescription {
        ip,
        rtp_port: remote.rtp_port,
        rtcp: remote.rtcp_port.map(|port| (ip, port).into()),
        is_mux: remote.rtcp_mux,
        profile: if remote.profile.is_secure() { Profile::Savp } else { Profile::Avp },
        crypto: remote.crypto.clone(),
        flow: match remote.direction {
            Direction::SendRecv => Flow::SendRecv,
            Direction::SendOnly => Flow::SendOnly,
            Direction::RecvOnly => Flow::RecvOnly,
            Direction::Inactive => Flow::Inactive,
        },
        signalling: Some(signalling),
    }
}

fn local_media(local: LocalDescription) -> LocalMedia {
    LocalMedia {
        ip: local.ip,
        rtp_port: local.rtp_port,
        rtcp_port: local.rtcp_port,
        rtcp_mux: local.is_mux,
        profile: match local.profile {
            Profile::Avp => MediaProfile::Avp,
            Profile::Savp => MediaProfile::Savp,
        },
        crypto: local.crypto,
    }
}

fn refusal(error: MediaError) -> Refusal {
    match error {
        MediaError::Busy
        | MediaError::NoAddress
        | MediaError::NoPorts
        | MediaError::NoSockets(_)
        | MediaError::Stopped => Refusal::MediaUnavailable,
        MediaError::DuplicateCall | MediaError::UnknownCall => Refusal::InternalFault,
        MediaError::Negotiation(NegotiationError::SecureRequired) => Refusal::SecureMediaRequired,
        MediaError::Negotiation(NegotiationError::SecureRefused) => Refusal::SecureMediaForbidden,
        MediaError::Negotiation(_) | MediaError::WrongFamily => Refusal::NoMediaInCommon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn only_a_call_without_any_sound_is_ended() {
        let (sounds, id, call) = (Sounds::default(), MediaId(1), CallUid(9));
        sounds.lock().insert(id, Sound { call, is_silent: [false; 2] });
        let silent = |side| SessionEvent::Silent { side, since: Instant::now() };
        assert_eq!(sounds.note(id, silent(Side::Near)), None);
        assert_eq!(sounds.note(id, SessionEvent::Resumed { side: Side::Near }), None);
        assert_eq!(sounds.note(id, silent(Side::Far)), None);
        assert_eq!(sounds.note(id, silent(Side::Near)), Some(call));
        assert_eq!(sounds.note(MediaId(2), silent(Side::Near)), None);
    }

    fn remote(text: &str) -> RemoteMedia {
        RemoteMedia {
            host: text.to_owned(),
            ip: text.parse().ok(),
            rtp_port: 4000,
            rtcp_port: Some(4005),
            rtcp_mux: false,
            profile: MediaProfile::Savpf,
            crypto: vec!["1 X inline:k".to_owned()],
            direction: Direction::SendOnly,
            on_hold: true,
            codecs: Vec::new(),
        }
    }

    #[test]
    fn a_description_keeps_its_meaning_in_the_relays_words() {
        let signalling: IpAddr = "198.51.100.1".parse().unwrap();
        let plain = described(&remote("192.0.2.4"), signalling);
        assert_eq!(plain.rtcp, Some("192.0.2.4:4005".parse().unwrap()));
        assert_eq!((plain.profile, plain.flow), (Profile::Savp, Flow::SendOnly));
        let named = described(&remote("pbx.example.com"), signalling);
        assert_eq!(named.ip, signalling);
        assert_eq!((plain.signalling, named.signalling), (Some(signalling), Some(signalling)));
    }

    /// The relay itself, on loopback: an offer, the same to a second carrier, an answer, a close.
    #[tokio::test]
    async fn a_second_carrier_is_told_other_ports() {
        let text = "node: {domain: d}\nsip: {listen: [{transport: udp, address: \"127.0.0.1:5060\"}]}\nmedia: {addresses: [{bind: \"127.0.0.1\"}], ports: 32000-32400, workers: 1}\n";
        let config = crate::config::Config::from_text("x", text, []).unwrap();
        let (relay, _events) = engine::Engine::start(relay_config(&config.media)).unwrap();
        let (sender, mut replies) = mpsc::channel(8);
        let mut media = Media::new(relay.clone(), sender);
        let (call, here) = (CallUid(1), "127.0.0.1".parse().unwrap());
        let mut plain = remote("127.0.0.1");
        (plain.profile, plain.crypto) = (MediaProfile::Avp, Vec::new());
        let question = |from, role| Question::Media {
            call,
            from,
            role,
            remote: plain.clone(),
            secure: SecureMedia::Off,
            near: here,
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

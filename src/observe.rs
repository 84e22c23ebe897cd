//! What happens, told: events of the core become log lines and metrics.
//!
//! Every line of a call carries its id as `call`, so that one search shows the whole call.

mod carriers;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use provisioning_store::registrations::Proof;
use sip_core::load::Load;
use sip_core::refusal::Refusal;
use sip_core::types::{Binding, CallUid, CarrierId, Doubt, Ending, Event, ProfileId, Unregistration};
use tokio::sync::mpsc;

use crate::bindings;
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// A change of the registrations, for the store.
#[derive(Clone, Debug)]
pub enum BindingChange {
    /// A PBX registered or refreshed.
    Kept(Box<Binding>),
    /// A PBX is no longer registered.
    Ended(ProfileId),
    /// A PBX has proved its password.
    Proved(Proof),
}

/// Lines about refused requests in a second. Whoever sends them decides how many there are, and a log that is flooded
/// hides what matters; the metrics count them all.
const REFUSED_LINES: u32 = 20;

/// Tells the log, the metrics and the store what happens.
pub struct Observer {
    metrics: Metrics,
    bindings: mpsc::Sender<BindingChange>,
    refused: Mutex<Throttle>,
}

impl Observer {
    /// An observer whose changes of registrations go to `bindings`; a full queue loses them, and counts them.
    pub fn new(metrics: Metrics, bindings: mpsc::Sender<BindingChange>) -> Self {
        Self { metrics, bindings, refused: Mutex::new(Throttle::new(Instant::now(), REFUSED_LINES)) }
    }

    /// Tells one event.
    pub fn observe(&self, event: &Event) {
        match event {
            Event::Registered(binding) => self.registered(binding),
            Event::MediaShown(binding) => self.media_shown(binding),
            Event::Unregistered { profile, why } => self.unregistered(*profile, *why),
            Event::RequestRefused { .. } => self.refused(event),
            Event::CallTooFast { .. } => self.call_too_fast(event),
            Event::PasswordProved { profile, address, transport } => {
                self.keep(BindingChange::Proved(bindings::proof(*profile, *address, *transport)));
            }
            Event::OwnerDoubted { known, source, doubt } => self.owner_doubted(*known, *source, *doubt),
            Event::CarrierReason { call, carrier, said } => carrier_reason(*call, *carrier, said),
            Event::SourceBanned { source, user, lasts } => {
                let lasts_s = lasts.as_secs();
                tracing::warn!(%source, user, lasts_s, "A source is banned: it has guessed too many passwords.");
            }
            Event::UserGuarded { user, lasts } => {
                let lasts_s = lasts.as_secs();
                tracing::warn!(
                    user,
                    lasts_s,
                    "A user is guarded: too many passwords were guessed for it, from several sources."
                );
            }
            // The table of connections is told.
            Event::ConnectionProved(_) => {}
            Event::ConnectionEnded { profile, contact } => {
                tracing::info!(%profile, %contact, "A registered PBX's connection has ended; calls connect to its Contact.");
            }
            Event::Dropped { source, why, is_of_note } => {
                self.metrics.sip_dropped.with_label_values(&[why]).inc();
                match *is_of_note && self.may_write_refusal() {
                    true => tracing::warn!(%source, "A faulty message of a known peer was dropped: {why}"),
                    false => tracing::debug!(%source, "A message was dropped: {why}."),
                }
            }
            Event::Shed { .. } => self.metrics.calls_shed.inc(),
            Event::LoadChanged(load) => self.load_changed(*load),
            Event::CallStarted { call, source, from, to } => {
                tracing::info!(%call, %source, from, to, "A call came in.");
            }
            Event::Invited { call, request_uri, target, carrier } => {
                let name = carrier.as_ref().map(|carrier| carrier.name.as_str());
                let carrier = carrier.as_ref().map(|carrier| carrier.id.0);
                tracing::info!(%call, request_uri, %target, carrier, name, "The called side was invited.");
            }
            Event::CarrierPassedOver { .. }
            | Event::CarrierTried { .. }
            | Event::CarrierDown { .. }
            | Event::CarrierUp { .. } => self.observe_carrier(event),
            Event::Ringing { call, after } => {
                tracing::info!(%call, after_ms = after.as_millis() as u64, "The called side rings.");
            }
            Event::AnswerUnconfirmed { call, profile, source } => {
                self.metrics.answers_unconfirmed.inc();
                if self.may_write_refusal() {
                    let profile = profile.map(|profile| profile.0);
                    tracing::warn!(%call, profile, %source, "{}", Refusal::AnswerUnconfirmed.sentence());
                }
            }
            Event::Answered { call, after } => {
                tracing::info!(%call, after_ms = after.as_millis() as u64, "The call was answered.");
            }
            Event::Ended { call, ending, status, detail } => {
                let told = ending_told(ending, detail.as_deref());
                tracing::info!(%call, status, reason = ending_code(ending), "{told}");
            }
        }
    }

    fn media_shown(&self, binding: &Binding) {
        let profile = binding.profile;
        tracing::info!(%profile, media = ?binding.media, "A PBX has shown how it protects its media.");
        self.keep(BindingChange::Kept(Box::new(binding.clone())));
    }

    fn registered(&self, binding: &Binding) {
        tracing::info!(
            profile = %binding.profile,
            source = %binding.flow.peer,
            transport = binding.flow.transport.param(),
            behind_nat = binding.behind_nat,
            user_agent = binding.user_agent.as_deref().unwrap_or_default(),
            contact = binding.contact_uri,
            "A PBX registered."
        );
        self.keep(BindingChange::Kept(Box::new(binding.clone())));
    }

    fn unregistered(&self, profile: ProfileId, why: Unregistration) {
        self.metrics.registrations_ended.with_label_values(&[why.code()]).inc();
        match why {
            // Two PBXs on one profile take it from each other in turn; somebody has to be told.
            Unregistration::Replaced => tracing::warn!(%profile, "{}", why.sentence()),
            _ => tracing::info!(%profile, "{}", why.sentence()),
        }
        self.keep(BindingChange::Ended(profile));
    }

    fn refused(&self, event: &Event) {
        let Event::RequestRefused { method, profile, user, source, refusal, detail } = event else { return };
        let reason = refusal.code();
        self.metrics.count_refused(method, reason);
        if matches!(refusal, Refusal::BadCredentials | Refusal::UnknownUser) {
            self.metrics.auth_failures.with_label_values(&[reason]).inc();
        }
        if !self.may_write_refusal() {
            return;
        }
        let profile = profile.map(|profile| profile.0);
        let (why, detail) = (refusal.sentence(), detail.unwrap_or_default());
        tracing::warn!(profile, user, %source, reason, method, "A request was refused. {why} {detail}");
    }

    /// The metrics count every call beyond a limit; the log has a line for those that leave a record.
    fn call_too_fast(&self, event: &Event) {
        let Event::CallTooFast { profile, source, why, unrecorded } = event else { return };
        self.metrics.count_refused("INVITE", why.code());
        if let Some(left_out) = unrecorded.filter(|_| self.may_write_refusal()) {
            let (profile, reason, why) = (profile.0, why.code(), why.sentence());
            tracing::warn!(profile, %source, reason, left_out, "A call was refused. {why}");
        }
    }

    /// A PBX that is known by its address and is now asked for a password may have none: then its calls fail, and the
    /// operator has to be told why. The other signs speak for somebody who has one.
    fn owner_doubted(&self, known: Option<ProfileId>, source: SocketAddr, doubt: Doubt) {
        self.metrics.owners_doubted.with_label_values(&[doubt.code()]).inc();
        let (known, sign, why) = (known.map(|profile| profile.0), doubt.code(), doubt.sentence());
        if !matches!(doubt, Doubt::History | Doubt::Unconfirmed) {
            tracing::debug!(profile = known, %source, sign, "A call from a known address has to prove a password. {why}");
        } else if self.may_write_refusal() {
            tracing::warn!(profile = known, %source, sign, "A call from a known address has to prove a password. {why}");
        }
    }

    /// Whether a line about a refused request may be written now; tells how many were left out.
    fn may_write_refusal(&self) -> bool {
        let mut throttle = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = throttle.may_write(Instant::now()) else {
            self.metrics.log_suppressed.inc();
            return false;
        };
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "More requests were refused than are written here; the metrics count them all."
            );
        }
        true
    }

    fn load_changed(&self, load: Load) {
        match load {
            Load::Overloaded => {
                self.metrics.overloaded.set(1);
                tracing::warn!("More comes in than can be handled: new calls are refused with 503.");
            }
            Load::Normal => {
                self.metrics.overloaded.set(0);
                tracing::info!("What comes in can be handled again: new calls are taken.");
            }
        }
    }

    fn keep(&self, change: BindingChange) {
        if self.bindings.try_send(change).is_err() {
            self.metrics.queue_dropped.with_label_values(&["bindings"]).inc();
        }
    }
}

/// What became of a call, as one word.
pub fn ending_code(ending: &Ending) -> &'static str {
    match ending {
        Ending::HungUp(_) => "hung_up",
        Ending::Cancelled => "cancelled",
        Ending::Refused(refusal) => refusal.code(),
    }
}

/// What became of a call, with what a refusal was about.
pub fn ending_told(ending: &Ending, detail: Option<&str>) -> String {
    let sentence = ending_sentence(ending);
    match detail {
        Some(detail) => format!("{sentence} {detail}"),
        None => sentence,
    }
}

/// What became of a call, as one sentence.
pub fn ending_sentence(ending: &Ending) -> String {
    match ending {
        Ending::HungUp(leg) => format!("The {} hung up.", leg.as_str()),
        Ending::Cancelled => "The caller gave up before the answer.".to_owned(),
        Ending::Refused(refusal) => refusal.sentence().to_owned(),
    }
}

/// A carrier's words, which customers are not told.
fn carrier_reason(call: CallUid, carrier: CarrierId, said: &str) {
    tracing::info!(%call, carrier = carrier.0, said, "A carrier has given its reason.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::refusal::Refusal;
    use sip_core::types::{Leg, ProfileId};

    #[test]
    fn an_ending_has_a_word_and_a_sentence() {
        let refused = Ending::Refused(Refusal::NoCredit);
        assert_eq!(
            (ending_code(&refused), ending_sentence(&refused)),
            ("no_credit", Refusal::NoCredit.sentence().into())
        );
        assert_eq!(ending_sentence(&Ending::HungUp(Leg::Callee)), "The callee hung up.");
        let redirected = Ending::Refused(Refusal::CalleeRedirected);
        assert_eq!(
            ending_told(&redirected, Some("It named sip:a@b.")),
            format!("{} It named sip:a@b.", Refusal::CalleeRedirected.sentence())
        );
    }

    #[test]
    fn a_full_queue_of_registrations_is_counted_and_stops_nothing() {
        let metrics = Metrics::new();
        let (sender, mut receiver) = mpsc::channel(1);
        let observer = Observer::new(metrics.clone(), sender);
        let gone = Event::Unregistered { profile: ProfileId(7), why: Unregistration::Expired };
        observer.observe(&gone);
        observer.observe(&gone);
        assert!(matches!(receiver.try_recv(), Ok(BindingChange::Ended(ProfileId(7)))));
        assert_eq!(metrics.queue_dropped.with_label_values(&["bindings"]).get(), 1);
        assert_eq!(metrics.registrations_ended.with_label_values(&["expired"]).get(), 2);
    }

    #[test]
    fn refused_requests_are_counted_by_a_method_that_strangers_cannot_make_up() {
        let metrics = Metrics::new();
        let observer = Observer::new(metrics.clone(), mpsc::channel(1).0);
        for method in ["INVITE", "REGISTER", "INVITE", "MADE-UP"] {
            observer.observe(&Event::RequestRefused {
                method: method.into(),
                profile: None,
                user: "101".into(),
                source: "192.0.2.1:5060".parse().unwrap(),
                refusal: Refusal::UnknownUser,
                detail: None,
            });
        }
        let count = |method| metrics.requests_refused.with_label_values(&[method, "unknown_user"]).get();
        assert_eq!([count("INVITE"), count("REGISTER"), count("other")], [2, 1, 1]);
    }
}

//! Session timers (RFC 4028), for each leg by itself: a peer that has gone without a word is found by a refresh that
//! fails, or by one that does not come.
//!
//! Whoever refreshes is settled anew by every refresh, with the roles of that refresh (section 7.4). A peer that knows
//! no session timers is refreshed by us, so every leg is watched.

use std::time::Duration;

use super::{Call, CallTimer, Context, LegId, Purpose, Stage};
use crate::message::{Message, MessageWriter, Method, Name, Params, text};
use crate::refusal::Refusal;
use crate::settings::CallSettings;
use crate::types::Leg;

/// The option tag.
const TAG: &str = "timer";

/// How long a refresh waits for an exchange that is under way; that one refreshes too.
const POSTPONED: Duration = Duration::from_secs(5);

/// The longest Retry-After of a 500 that means glare, seconds; a longer one is no reason to lose the session.
const GLARE_MAX_S: u32 = 10;

/// Who keeps a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    Us,
    Peer,
}

/// One leg's session timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionTimer {
    interval_s: u32,
    refresher: Refresher,
    /// The least interval that the peer has asked for (Min-SE).
    min_s: u32,
    /// The least that we took when the leg began: a changed configuration must not refuse what it promised.
    least_s: u32,
    /// UPDATE is understood: a refresh then needs no description.
    allows_update: bool,
    /// The peer may believe in another description than our last one, which is to be said again, and not by UPDATE without
    /// one, until the peer has answered it.
    owes_description: bool,
    /// A request of ours has crossed one of the peer's and is to be made again, also where the peer refreshes the session.
    is_to_retry: bool,
}

/// Session-Expires with its refresher, as a message names it: `uac` or `uas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SessionExpires {
    interval_s: u32,
    /// Whether the sender of the request refreshes; `None` leaves it to the answerer.
    by_client: Option<bool>,
}

impl SessionExpires {
    fn of(message: &Message) -> Option<Self> {
        let value = message.header(Name::SessionExpires)?;
        let (number, params) = value.split_once(';').unwrap_or((value, ""));
        let by_client = match Params::new(params).value("refresher") {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(true),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(false),
            _ => None,
        };
        Some(Self { interval_s: text::decimal(number.trim())?, by_client })
    }
}

fn min_se(message: &Message) -> u32 {
    let value = message.header(Name::MinSe).and_then(|value| value.split(';').next());
    value.and_then(|number| text::decimal(number.trim())).unwrap_or(0)
}

impl SessionTimer {
    pub(crate) fn new(settings: &CallSettings) -> Self {
        Self {
            interval_s: settings.session_expires_s,
            refresher: Refresher::Us,
            min_s: 0,
            least_s: settings.min_se_s,
            allows_update: false,
            owes_description: false,
            is_to_retry: false,
        }
    }

    /// A request of the peer's sets the session up or refreshes it; `Err` if its interval is too brief for us (422).
    pub(crate) fn on_request(&mut self, settings: &CallSettings, request: &Message) -> Result<(), Refusal> {
        let is_timed = request.lists_tag(Name::Supported, TAG) || request.lists_tag(Name::Require, TAG);
        let asked = SessionExpires::of(request);
        let least_s = self.least_s.min(settings.min_se_s);
        self.learn_methods(request);
        if let Some(asked) = asked
            && is_timed
            && asked.interval_s < least_s
        {
            return Err(Refusal::SessionIntervalTooSmall);
        }
        self.min_s = self.min_s.max(min_se(request));
        let wished = asked.map_or(settings.session_expires_s, |asked| asked.interval_s);
        self.interval_s = wished.min(settings.session_expires_s).max(self.min_s).max(least_s);
        self.refresher = match asked.and_then(|asked| asked.by_client) {
            Some(false) => Refresher::Us,
            Some(true) | None if is_timed => Refresher::Peer,
            _ => Refresher::Us,
        };
        Ok(())
    }

    /// Writes the 2xx to such a request.
    pub(crate) fn write_answer(&self, request: &Message, writer: &mut MessageWriter) {
        let is_timed = request.lists_tag(Name::Supported, TAG) || request.lists_tag(Name::Require, TAG);
        if !is_timed {
            return;
        }
        let who = if self.refresher == Refresher::Peer { "uac" } else { "uas" };
        writer.header(Name::SessionExpires, format_args!("{};refresher={who}", self.interval_s));
        if self.refresher == Refresher::Peer {
            // Section 9: the refresher must know that it is one.
            writer.header(Name::Require, TAG);
        }
    }

    /// Writes a request of ours that sets the session up or refreshes it.
    pub(crate) fn write_request(&self, settings: &CallSettings, stage: Stage, writer: &mut MessageWriter) {
        let who = match (stage, self.refresher) {
            (Stage::Setup, _) => "",
            (_, Refresher::Us) => ";refresher=uac",
            (_, Refresher::Peer) => ";refresher=uas",
        };
        writer.header(Name::SessionExpires, format_args!("{}{who}", self.interval_s));
        writer.header(Name::MinSe, settings.min_se_s.max(self.min_s));
    }

    /// A 2xx to such a request: without Session-Expires the peer keeps no timer and we refresh alone.
    pub(crate) fn on_answer(&mut self, response: &Message) {
        self.learn_methods(response);
        match SessionExpires::of(response) {
            Some(answer) => {
                self.interval_s = answer.interval_s.max(self.min_s).max(1);
                self.refresher =
                    if answer.by_client == Some(false) { Refresher::Peer } else { Refresher::Us };
            }
            None => self.refresher = Refresher::Us,
        }
    }

    /// A 422 names the least interval; `false` if it names none that helps.
    pub(crate) fn on_too_small(&mut self, response: &Message) -> bool {
        let least = min_se(response);
        let helps = least > self.interval_s;
        if helps {
            self.min_s = least;
            self.interval_s = least;
        }
        helps
    }

    fn learn_methods(&mut self, message: &Message) {
        if let Some(allows) = message.allows(&Method::Update) {
            self.allows_update = allows;
        }
    }

    /// When to act: half the interval to refresh, or shortly before its end to give up (section 10).
    fn next(&self) -> Duration {
        let interval = Duration::from_secs(u64::from(self.interval_s));
        match self.refresher {
            Refresher::Us => interval / 2,
            Refresher::Peer => interval - Duration::from_secs(32).min(interval / 3),
        }
    }
}

impl Call {
    /// Starts a leg's timer, or starts it again after a refresh.
    pub(super) fn watch_session(&mut self, ctx: &mut Context<'_>, half: Leg) {
        if self.stage != Stage::Running {
            return;
        }
        if let Some(leg) = self.half(half) {
            leg.session.is_to_retry = false;
            let after = leg.session.next();
            self.start_timer(ctx, CallTimer::Session(half), after);
        }
    }

    /// It is time to refresh, or too late for the peer's refresh.
    pub(super) fn on_session_due(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let is_busy = self.exchange.is_some();
        let Some(leg) = self.half(half) else { return };
        if leg.session.refresher == Refresher::Peer && !leg.session.is_to_retry {
            return self.end_refused(ctx, Refusal::SessionExpired);
        }
        if is_busy || leg.our_2xx.is_some() {
            return self.start_timer(ctx, CallTimer::Session(half), POSTPONED);
        }
        self.refresh(ctx, half);
    }

    /// Refreshes a leg: by UPDATE, or by a re-INVITE that repeats our last description.
    pub(super) fn refresh(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let Some(leg) = self.half(half) else { return };
        let by_update = leg.session.allows_update && !leg.session.owes_description;
        self.refresh_by(ctx, half, if by_update { Method::Update } else { Method::Invite });
    }

    /// Says our last description once more, to a half that may believe in another.
    pub(super) fn restate(&mut self, ctx: &mut Context<'_>, half: Leg) {
        if let Some(leg) = self.half(half) {
            leg.session.owes_description = true;
        }
        self.refresh_by(ctx, half, Method::Invite);
    }

    fn refresh_by(&mut self, ctx: &mut Context<'_>, half: Leg, method: Method) {
        let (uid, stage) = (self.uid, self.stage);
        let Some(leg) = self.half(half) else { return };
        let is_invite = method == Method::Invite;
        let mut draft = leg.begin(ctx, method);
        draft.writer.header(Name::Allow, crate::respond::ALLOW);
        draft.writer.header(Name::Supported, if is_invite { "100rel, timer" } else { TAG });
        leg.session.write_request(&ctx.settings.calls, stage, &mut draft.writer);
        let sdp = is_invite.then(|| leg.sdp.last().clone());
        let client = leg.send(ctx, uid, Purpose::Refresh, draft, sdp.as_ref());
        leg.session_refresh = Some(client);
        if is_invite {
            leg.reinvite = Some(client);
            leg.is_late = false;
            leg.cancel_owed = None;
        }
    }

    /// A refresh of ours was answered, or was not (408).
    pub(super) fn on_refreshed(
        &mut self,
        ctx: &mut Context<'_>,
        id: LegId,
        status: u16,
        response: Option<&Message>,
    ) {
        let half = id.role();
        let is_owner = id != LegId::Caller;
        let Some(leg) = self.leg(id) else { return };
        if status >= 200 && response.is_some() {
            leg.sought_until = None;
        }
        if let Some(response) = response.filter(|_| (200..300).contains(&status)) {
            if *response.method() == Method::Invite {
                leg.session.owes_description = false;
                leg.acknowledge_only(ctx, response);
            }
            leg.session.on_answer(response);
            return self.watch_session(ctx, half);
        }
        match (status, response) {
            (100..=199, _) => {}
            (408, None) if leg.sought_until.is_some() => self.seek_again(ctx, half),
            (408, _) => self.end_refused(ctx, Refusal::SessionExpired),
            (481, _) => self.end_refused(ctx, Refusal::CallForgotten),
            (405 | 501, _) if std::mem::take(&mut leg.session.allows_update) => self.refresh(ctx, half),
            (422, Some(response)) if leg.session.on_too_small(response) => self.refresh(ctx, half),
            (491, _) => {
                leg.session.is_to_retry = true;
                let after = glare_pause(ctx, is_owner);
                self.start_timer(ctx, CallTimer::Session(half), after);
            }
            // RFC 3311 section 5.2 and RFC 3261 section 14.2: an offer of ours is under way already, as the peer sees it.
            (500, Some(response)) if response.retry_after().is_some_and(|after_s| after_s <= GLARE_MAX_S) => {
                leg.session.is_to_retry = true;
                let after = Duration::from_secs(response.retry_after().unwrap_or_default().max(1).into());
                self.start_timer(ctx, CallTimer::Session(half), after);
            }
            // Whatever else it dislikes, the peer lives. Where it judges our description, it knows it.
            _ => {
                leg.session.owes_description &= !matches!(status, 415 | 488 | 606);
                self.watch_session(ctx, half);
            }
        }
    }
}

/// How long to wait after 491 (RFC 3261 section 14.1): 2.1 to 4 s for the owner of the Call-ID, up to 2 s for the
/// other side, in units of 10 ms.
fn glare_pause(ctx: &mut Context<'_>, is_owner: bool) -> Duration {
    let (least, span) = if is_owner { (210, 191) } else { (0, 201) };
    Duration::from_millis(10 * (least + ctx.rng.below(span)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    fn invite(extra: &str) -> Message {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
             To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn answered(extra: &str) -> Result<SessionTimer, Refusal> {
        let settings = CallSettings::default();
        let mut timer = SessionTimer::new(&settings);
        timer.on_request(&settings, &invite(extra)).map(|()| timer)
    }

    #[test]
    fn a_peer_that_can_refresh_does() {
        let timer = answered("Supported: timer\r\nSession-Expires: 600\r\n").unwrap();
        assert_eq!((timer.interval_s, timer.refresher), (600, Refresher::Peer));
        let timer = answered("Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n").unwrap();
        assert_eq!(timer.refresher, Refresher::Us);
    }

    #[test]
    fn a_peer_without_timers_is_refreshed_by_us() {
        let timer = answered("").unwrap();
        assert_eq!((timer.interval_s, timer.refresher), (1800, Refresher::Us));
    }

    #[test]
    fn too_small_an_interval_is_refused_only_to_those_who_understand() {
        let brief = "Supported: timer\r\nSession-Expires: 30\r\n";
        assert_eq!(answered(brief).err(), Some(Refusal::SessionIntervalTooSmall));
        let timer = answered("Session-Expires: 30\r\n").unwrap();
        assert_eq!(timer.interval_s, 90);
    }

    #[test]
    fn a_leg_may_keep_the_interval_it_began_with() {
        let brief = "Supported: timer\r\nSession-Expires: 90\r\n";
        let mut timer = answered(brief).unwrap();
        let stricter = CallSettings { min_se_s: 600, ..CallSettings::default() };
        assert_eq!(timer.on_request(&stricter, &invite(brief)), Ok(()));
        assert_eq!(timer.interval_s, 90);
        assert!(SessionTimer::new(&stricter).on_request(&stricter, &invite(brief)).is_err());
    }

    #[test]
    fn the_peers_least_interval_is_kept() {
        let timer = answered("Supported: timer\r\nSession-Expires: 3600\r\nMin-SE: 3600\r\n").unwrap();
        assert_eq!(timer.interval_s, 3600);
    }

    #[test]
    fn the_timer_leaves_room_before_the_end() {
        let mut timer = answered("Supported: timer\r\nSession-Expires: 90\r\n").unwrap();
        assert_eq!(timer.next(), Duration::from_secs(60));
        timer.interval_s = 1800;
        assert_eq!(timer.next(), Duration::from_secs(1768));
        timer.refresher = Refresher::Us;
        assert_eq!(timer.next(), Duration::from_secs(900));
    }
}

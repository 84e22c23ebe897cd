//! The core as one state machine: inputs by `handle_*`, outputs by `poll_*`.
//!
//! After each `handle_*` the shell polls transmits, questions and events until each yields `None`, then asks
//! `poll_timeout` when to call `handle_timeout`. A spurious call changes nothing.

mod lists;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slotmap::SecondaryMap;

pub use self::lists::Counts;
use crate::auth::CertificateNames;
use crate::authenticator::{Authenticator, STALE_BURST};
use crate::bans::{self, Banned, Bans};
use crate::breaker::Breakers;
use crate::call::{
    self, Call, CallTable, CallTimer, ClientUser, Context, DialogIndex, Listing, Purpose, Way, WayIndex,
};
pub use crate::call::{CallsOf, LiveCall, Stage};
use crate::call_rates::CallRates;
use crate::certified::Certified;
use crate::dialog;
use crate::directory::{Directory, Peer, Succession};
use crate::guard::{self, Guard, Rates, SourceRates};
use crate::history::History;
use crate::load::LoadGauge;
use crate::message::{self, Fault, Message, Method, Name, lex, repaired, validate};
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::registrar::Registrar;
use crate::rng::Rng;
use crate::settings::{RegistrationSettings, Settings, Tuning};
use crate::timers::Timers;
use crate::transaction::{Fired, ServerKey, Transactions, Unasked};
use crate::types::{
    Binding, CallUid, ConnectionId, Event, Flow, Leg, Now, ProfileId, Question, Reply, Transmit, Transport,
    Trouble, Unregistration,
};
use crate::unopened;

/// Deadlines of each kind that are dealt with in one turn: after a moment without one, very many may be due.
const DUE_AT_ONCE: usize = 256;

/// One gateway: everything it knows of the present.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) directory: Arc<Directory>,
    pub(crate) rng: Rng,
    pub(crate) authenticator: Authenticator,
    pub(crate) rates: SourceRates,
    pub(crate) bans: Bans,
    /// How fast attempts that prove nothing may leave records with the profile that they name.
    pub(crate) unproved_records: Rates<ProfileId>,
    /// How often old nonces are answered, by user name and source.
    pub(crate) stale: Rates<(u64, IpAddr)>,
    /// How fast sources that are known may send requests that open something.
    pub(crate) known_rates: SourceRates,
    /// How many answers of late may be without a sign of the caller.
    pub(crate) unconfirmed: Rates<ProfileId>,
    pub(crate) registrar: Registrar,
    pub(crate) certified: Certified,
    pub(crate) history: History,
    pub(crate) breakers: Breakers,
    /// Connections on which a request was believed; no more than there are connections.
    proved: HashSet<ConnectionId>,
    pub(crate) call_rates: CallRates,
    pub(crate) transactions: Transactions<ClientUser>,
    pub(crate) calls: CallTable,
    /// The call that each unanswered INVITE opened, for CANCEL.
    pub(crate) invites: SecondaryMap<ServerKey, CallUid>,
    pub(crate) index: DialogIndex,
    pub(crate) ways: WayIndex,
    pub(crate) timers: Timers<(CallUid, CallTimer)>,
    pub(crate) is_draining: bool,
    /// The first moment that we were told.
    begun: Option<Instant>,
    pub(crate) load: LoadGauge,
    pub(crate) out: Outbox,
}

/// `sips` asks that nobody on the way can listen (RFC 3261 section 26.2.2); what came in the clear is refused, so that
/// its sender may choose to try `sip` (section 8.1.3.5).
fn is_as_secret_as_asked(message: &Message, flow: Flow) -> Result<(), Fault> {
    let asks = message.is_request()
        && message.request_uri().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
    if asks && flow.transport != Transport::Tls { Err(Fault::UriScheme) } else { Ok(()) }
}

/// Why a response is not taken that has the branch of a request of ours.
const FROM_ELSEWHERE: &str = "a response from elsewhere than its request went to";

impl Gateway {
    /// Starts with nothing registered and no call. `seed` must be secret: nonces and tags depend on it.
    pub fn new(settings: Settings, directory: Arc<Directory>, seed: [u8; 32]) -> Self {
        crate::number::warm_up();
        let mut rng = Rng::new(seed);
        let limits = &settings.limits;
        Self {
            authenticator: Authenticator::new(rng.key(), limits.nonces),
            rates: SourceRates::new(
                limits.requests_per_source,
                limits.requests_per_source * 2,
                limits.sources,
            ),
            bans: Bans::new(settings.bans.clone(), limits),
            // Once more each time that a nonce may grow old.
            stale: Rates::new(settings.registration.nonce_lifetime, STALE_BURST, limits.suspects),
            unproved_records: Rates::new(
                unopened::UNPROVED_RECORD_EVERY,
                unopened::UNPROVED_RECORD_BURST,
                limits.sources,
            ),
            known_rates: SourceRates::new(
                limits.requests_per_known_source,
                limits.requests_per_known_source * 2,
                limits.sources,
            ),
            unconfirmed: Rates::new(call::UNCONFIRMED_EVERY, call::UNCONFIRMED_BURST, limits.bindings),
            registrar: Registrar::new(limits.bindings),
            certified: Certified::default(),
            history: History::new(limits.bindings),
            breakers: Breakers::default(),
            proved: HashSet::new(),
            call_rates: CallRates::new(limits.bindings),
            transactions: Transactions::new(settings.timers.clone(), limits.transactions),
            calls: CallTable::default(),
            invites: SecondaryMap::new(),
            index: DialogIndex::default(),
            ways: WayIndex::default(),
            timers: Timers::default(),
            is_draining: false,
            begun: None,
            load: LoadGauge::default(),
            out: Outbox::default(),
            rng,
            directory,
            settings,
        }
    }

    /// The input that comes next has waited so long for its turn. While inputs wait too long, new calls are refused.
    pub fn note_waited(&mut self, now: Now, waited: Duration) {
        if let Some(load) = self.load.note(now.monotonic, waited) {
            self.out.tell(Event::LoadChanged(load));
        }
    }

    /// A datagram has come.
    pub fn handle_datagram(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        // Nothing can be sent to port 0, so nobody is there to be answered (RFC 768: "not used").
        if flow.peer.port() == 0 {
            return self.drop_message(flow, "source port 0");
        }
        match guard::classify(&bytes) {
            Guard::Sip => self.handle_message(now, flow, bytes, message::Transport::Datagram),
            // Keepalives of NAT bindings: right, frequent, and of no interest.
            Guard::KeepaliveCrlf | Guard::KeepaliveZeros | Guard::Stun => {}
            Guard::Junk => self.drop_message(flow, "not SIP"),
        }
    }

    /// One message, cut out of a stream by [`message::StreamFramer`], has come.
    pub fn handle_stream(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        self.handle_message(now, flow, bytes, message::Transport::Stream);
    }

    fn handle_message(&mut self, now: Now, flow: Flow, bytes: Bytes, transport: message::Transport) {
        if self.is_silenced(now, flow) {
            return self.drop_message(flow, bans::BANNED);
        }
        let Ok(message) = lex(bytes, transport) else { return self.drop_message(flow, "not SIP") };
        if message.is_request()
            && message.header(Name::UserAgent).is_some_and(guard::is_scanner)
            && self.known_peer(now, flow).is_none()
        {
            return self.drop_message(flow, "a scanner");
        }
        if !message.is_request() {
            return self.on_response(now, flow, &message);
        }
        let message = dialog::as_meant(&message).unwrap_or(message);
        match validate(&message).and_then(|()| is_as_secret_as_asked(&message, flow)) {
            Err(fault) if *message.method() == Method::Ack => self.drop_faulty(now, flow, fault),
            Err(fault) => self.refuse_faulty(now, flow, &message, fault),
            Ok(()) => self.on_request(now, flow, &message),
        }
    }

    /// Whether nothing from there is heard. Whoever is known by address, or was at home there before the ban, must not
    /// pay for a stranger behind the same address: of those only the guesses are not heard.
    fn is_silenced(&self, now: Now, flow: Flow) -> bool {
        let source = flow.peer.ip();
        self.bans.is_banned(now.monotonic, source)
            && self.known_peer(now, flow).is_none()
            && !self.registrar.is_bound_host(source)
            && !self.bans.is_anybodys_home(source)
    }

    pub(crate) fn drop_message(&mut self, flow: Flow, why: &'static str) {
        self.out.tell(Event::Dropped { source: flow.peer, why, is_of_note: false });
    }

    /// Drops a faulty message that is owed no answer.
    fn drop_faulty(&mut self, now: Now, flow: Flow, fault: Fault) {
        let is_of_note = !self.is_stranger(now, flow);
        self.out.tell(Event::Dropped { source: flow.peer, why: fault.sentence(), is_of_note });
    }

    /// A response to a request of ours is used whatever else is wrong with it: it cannot be refused, and dropped it would
    /// leave its sender alone with a call.
    fn on_response(&mut self, now: Now, flow: Flow, response: &Message) {
        let (directory, certified) = (&self.directory, &self.certified);
        // From the host that was asked, or from another address of the same peer.
        let is_same_peer = |asked: Flow, answers: Flow| {
            !asked.transport.is_more_secret_than(answers.transport)
                && (asked.peer.ip() == answers.peer.ip() || certified.is_one_peer(directory, asked, answers))
        };
        let id = match self.transactions.answered_by(flow, response, is_same_peer) {
            Ok(id) => id,
            Err(unasked) => {
                if unasked == Unasked::Elsewhere {
                    // The peer may have an address that is not provisioned. Without this line its calls fail in silence.
                    self.out.tell(Event::Dropped {
                        source: flow.peer,
                        why: FROM_ELSEWHERE,
                        is_of_note: true,
                    });
                }
                return self.on_unasked_response(now, flow, response);
            }
        };
        self.note_proof(flow);
        let mended = self.transactions.request_of(id).and_then(|request| repaired(response, request));
        let response = mended.as_ref().unwrap_or(response);
        let asked = self.transactions.flow_of(id).unwrap_or(flow);
        match self.transactions.receive_response(now.monotonic, id, response, &mut self.out) {
            Some((user, request)) if user.purpose == Purpose::Stray => {
                let peer = self.calls.peer_of(user.call, user.leg);
                call::prove_stray(&mut self.context(now), (user, peer), asked, &request, response);
            }
            Some((user, request)) if self.calls.contains(user.call) => {
                self.with_call(now, user.call, |call, ctx| call.on_response(ctx, user, &request, response));
            }
            Some((user, _)) => call::hang_up_stray(&mut self.context(now), user.call, flow, response),
            None => self.on_unasked_response(now, flow, response),
        }
    }

    /// A response to no request of ours that is still known.
    fn on_unasked_response(&mut self, now: Now, flow: Flow, response: &Message) {
        match validate(response) {
            Err(fault) => self.drop_faulty(now, flow, fault),
            Ok(()) => self.on_unwanted_answer(now, flow, response),
        }
    }

    fn on_unwanted_answer(&mut self, now: Now, flow: Flow, response: &Message) {
        if call::is_answer(response) && !self.is_stranger(now, flow) {
            self.on_stray_answer(now, flow, response);
        }
    }

    /// Somebody we know answers an INVITE that we gave up so long ago that its transaction has ended. Left alone, the
    /// answer would be repeated and charged for.
    fn on_stray_answer(&mut self, now: Now, flow: Flow, response: &Message) {
        let from = response.from();
        let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or_default();
        match self.index.find(response.call_id().unwrap_or_default(), tag) {
            Some((uid, id)) => {
                self.with_call(now, uid, |call, ctx| call.on_stray_answer(ctx, id, flow, response));
            }
            None => {
                let call = self.rng.call_uid();
                call::hang_up_stray(&mut self.context(now), call, flow, response);
            }
        }
    }

    /// Lets a call work with the rest of the gateway, and lets go of it once it is finished.
    pub(crate) fn with_call(
        &mut self,
        now: Now,
        uid: CallUid,
        work: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let Some(mut call) = self.calls.take(uid) else { return };
        work(&mut call, &mut self.context(now));
        self.keep(now, call);
    }

    /// Puts a call where it is found again, unless it is finished.
    pub(crate) fn keep(&mut self, now: Now, mut call: Box<Call>) {
        let mut ctx = self.context(now);
        if call.is_finished(&ctx) {
            call.dismantle(&mut ctx);
            self.ways.forget(&mut call);
            self.calls.forget(&call);
        } else {
            self.ways.follow(&mut call);
            self.calls.put(call);
        }
    }

    /// The same moment by a clock that nobody can set: nonces must neither age nor grow young when somebody sets the
    /// time of day. Their key is of this run, so its seconds may count from its beginning.
    pub(crate) fn steady(&mut self, now: Now) -> Now {
        let begun = *self.begun.get_or_insert(now.monotonic);
        Now { unix_s: now.monotonic.saturating_duration_since(begun).as_secs(), ..now }
    }

    pub(crate) fn context(&mut self, now: Now) -> Context<'_> {
        Context {
            now,
            settings: &self.settings,
            directory: &self.directory,
            registrar: &mut self.registrar,
            certified: &self.certified,
            unconfirmed: &mut self.unconfirmed,
            breakers: &mut self.breakers,
            rng: &mut self.rng,
            transactions: &mut self.transactions,
            timers: &mut self.timers,
            index: &mut self.index,
            out: &mut self.out,
        }
    }

    /// A TLS connection was made whose other end has shown a certificate that was verified, with these names. Told before
    /// the connection's first message.
    pub fn handle_connection_certified(&mut self, now: Now, flow: Flow, shown: CertificateNames) {
        let peer = self.certified.open(&self.directory, flow, shown);
        if peer.is_some() {
            self.note_proof(flow);
        }
        if let Some(profile) = peer.and_then(Peer::profile) {
            self.reunite(now, profile);
        }
    }

    /// A message from there was believed: a connection over which it came may stay.
    pub(crate) fn note_proof(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection
            && self.proved.insert(connection)
        {
            self.out.tell(Event::ConnectionProved(connection));
        }
    }

    /// The connection of this flow is gone: bindings made over it end, requests sent over it have failed, and running
    /// calls seek their peer.
    pub fn handle_connection_lost(&mut self, now: Now, lost: Flow) {
        if let Some(connection) = lost.connection {
            self.registrar.connection_lost(connection, &mut self.out);
            self.certified.close(connection);
            self.proved.remove(&connection);
        }
        for uid in self.ways.calls(Way::lost_with(lost)) {
            self.with_call(now, uid, |call, ctx| call.on_connection_lost(ctx, lost));
        }
        let failed = self.transactions.connection_lost(now.monotonic, lost, &mut self.out);
        self.fail(now, failed);
    }

    /// A PBX has registered, or connected with its certificate: its calls that lost their connection go on over the new
    /// one.
    pub(crate) fn reunite(&mut self, now: Now, profile: ProfileId) {
        for uid in self.ways.calls(std::iter::once(Way::Binding(profile))) {
            self.with_call(now, uid, |call, ctx| call.on_return(ctx, profile));
        }
    }

    /// A message could not be sent. A datagram that the system does not take, too long or to nowhere, says nothing of others
    /// to the same address; what cannot be written to a connection fails with all that waits there.
    pub fn handle_unsent(&mut self, now: Now, unsent: &Transmit) {
        if unsent.flow.transport.is_reliable() {
            return self.handle_send_failed(now, unsent.flow);
        }
        let failed = self.transactions.unsent(now.monotonic, unsent, &mut self.out);
        self.fail(now, failed);
    }

    /// Nothing can be written to the connection of `flow`.
    pub fn handle_send_failed(&mut self, now: Now, flow: Flow) {
        let failed = self.transactions.send_failed(now.monotonic, flow, &mut self.out);
        self.fail(now, failed);
    }

    /// The network says that a datagram to `flow` has reached nobody, and gives back its first octets (ICMP): whom we
    /// invite cannot be reached (RFC 3261 section 18.4). Running calls and their goodbyes are left to their timers, since
    /// anybody can forge such a message, and a goodbye that is not repeated leaves a call up that is paid for.
    pub fn handle_unreachable(&mut self, now: Now, flow: Flow, quoted: &[u8]) {
        let is_invite = |user: ClientUser| user.purpose == Purpose::Invite;
        let failed = self.transactions.unreachable(now.monotonic, flow, quoted, is_invite, &mut self.out);
        self.fail(now, failed);
    }

    fn fail(&mut self, now: Now, failed: Vec<ClientUser>) {
        for user in failed {
            self.with_call(now, user.call, |call, ctx| {
                call.on_unanswered(ctx, user, Trouble::Unreachable);
            });
        }
    }

    /// Media has come for one half of a call from the host of its signalling.
    pub fn handle_media_located(&mut self, now: Now, call: CallUid, leg: Leg) {
        if leg == Leg::Caller {
            self.with_call(now, call, |call, ctx| call.confirm(ctx));
        }
    }

    /// A question is answered.
    pub fn handle_reply(&mut self, now: Now, reply: Reply) {
        if let Reply::Reserved { result: Err(Refusal::Overloaded), .. } = reply {
            self.load.note_behind(now.monotonic);
        }
        let uid = match &reply {
            Reply::Reserved { lease, .. } | Reply::Extended { lease, .. } => lease.call,
            Reply::Media { call, .. } | Reply::Resolved { call, .. } => *call,
        };
        self.with_call(now, uid, |call, ctx| call.on_reply(ctx, reply));
    }

    /// Some deadlines may have passed. Where more are due than are dealt with at once, the next deadline stays in the past,
    /// and other inputs get their turn in between.
    pub fn handle_timeout(&mut self, now: Now) {
        self.registrar.handle_timeout(now.monotonic, DUE_AT_ONCE, &mut self.out);
        for _ in 0..DUE_AT_ONCE {
            match self.transactions.handle_timeout(now.monotonic, &mut self.out) {
                Some(Fired::NoAnswer(user)) => self.with_call(now, user.call, |call, ctx| {
                    call.on_unanswered(ctx, user, Trouble::Silent);
                }),
                Some(Fired::Handled) => {}
                None => break,
            }
        }
        for _ in 0..DUE_AT_ONCE {
            let Some((uid, timer)) = self.timers.pop_due(now.monotonic) else { break };
            self.with_call(now, uid, |call, ctx| call.on_timer(ctx, timer));
        }
    }

    /// Provisioning has changed. Running calls go on, unless their profile was deleted; bindings of profiles that no
    /// longer register end. Gives the directory that was in use until now: to free it takes long where it is large, and
    /// is better done elsewhere.
    pub fn set_directory(&mut self, now: Now, succession: Succession) -> Arc<Directory> {
        let Succession { directory, changed, certificates } = succession;
        for gone in changed.iter().filter(|id| directory.profile(**id).is_none()) {
            self.end_calls_of(now, *gone, Refusal::ProfileDeleted);
            self.history.forget(*gone);
        }
        for profile in changed.iter().filter(|id| directory.profile(**id).is_none()) {
            self.registrar.forget_refused(*profile);
        }
        for profile in changed.iter().filter(|id| !directory.may_register(**id)) {
            self.registrar.remove(*profile, Unregistration::ProfileGone, &mut self.out);
        }
        self.keep_passwords(&directory, &changed);
        self.certified.find_anew(&directory, &certificates);
        self.breakers.keep(&self.directory, &directory);
        self.call_rates.follow(&directory);
        std::mem::replace(&mut self.directory, directory)
    }

    /// Remembers the old password of every bound profile that gets a new one.
    fn keep_passwords(&mut self, directory: &Directory, changed: &BTreeSet<ProfileId>) {
        let mut strangers = BTreeSet::new();
        for old in changed.iter().filter_map(|id| self.directory.profile(*id)) {
            let new = directory.profile(old.id);
            if let Some(new) = new
                && !old.authentication.has_password_of(&new.authentication)
            {
                self.registrar.keep_password(old);
            }
            if new.is_none_or(|new| new.authentication != old.authentication) {
                strangers.insert(Peer::Profile(old.id));
            }
        }
        self.bans.forget_homes(&strangers);
    }

    /// The configuration has changed. Calls in set-up or running keep the timers that they have started, registrations
    /// the interval that they were granted, and bans the time that they were to last.
    pub fn set_tuning(&mut self, tuning: Tuning) {
        let Tuning { registration, bans, calls, makes } = tuning;
        self.bans.set(bans.clone());
        let settings = &mut self.settings;
        settings.bans = bans;
        if settings.registration.nonce_lifetime != registration.nonce_lifetime {
            self.stale = Rates::new(registration.nonce_lifetime, STALE_BURST, settings.limits.suspects);
        }
        (settings.registration, settings.calls, settings.makes) = (registration, calls, makes);
    }

    /// Puts back a binding that was kept over a restart, if whoever has it may still register.
    pub fn restore_binding(&mut self, now: Now, binding: Binding) {
        if !self.directory.may_register(binding.profile) {
            return;
        }
        self.registrar.recall_media(&binding);
        let RegistrationSettings { nat_s, direct_s, .. } = self.settings.registration;
        self.registrar.restore(now, binding, nat_s.max(direct_s));
    }

    /// Puts back a proof of a password that was kept over a restart, made so long ago at this address.
    pub fn restore_proof(&mut self, now: Now, profile: ProfileId, address: IpAddr, age: Duration) {
        if self.directory.profile(profile).is_some() {
            self.history.restore(now, profile, address, age);
        }
    }

    /// What a PBX had shown of its media before a restart that its binding did not survive.
    pub fn recall_media(&mut self, binding: &Binding) {
        if self.directory.may_register(binding.profile) {
            self.registrar.recall_media(binding);
        }
    }

    /// From now on new calls are refused with 503; running ones go on.
    pub fn refuse_new_calls(&mut self) {
        self.is_draining = true;
    }

    /// Ends a call from outside: the operator, media silence, a deleted profile; `false` if there is no such call.
    pub fn end_call(&mut self, now: Now, call: CallUid, why: Refusal) -> bool {
        let is_there = self.calls.contains(call);
        self.with_call(now, call, |call, ctx| call.end_refused(ctx, why));
        is_there
    }

    /// Ends the next calls behind `after`, in order, `most` of them. Gives the last one that was looked at; `None` if there
    /// are no more. Whoever ends them all lets other work be done in between.
    pub fn end_calls(
        &mut self,
        now: Now,
        after: Option<CallUid>,
        most: usize,
        why: Refusal,
    ) -> Option<CallUid> {
        let everybody = Listing::Shown(CallsOf::Everybody);
        let next: Vec<_> = self.calls.listed(everybody, after).take(most).collect();
        for uid in &next {
            self.end_call(now, *uid, why);
        }
        next.last().copied()
    }

    /// Ends every call that a profile's PBX makes or gets.
    fn end_calls_of(&mut self, now: Now, profile: ProfileId, why: Refusal) {
        let hit: Vec<_> = self.calls.listed(Listing::Party(profile), None).collect();
        for uid in hit {
            self.end_call(now, uid, why);
        }
    }

    /// The next message to put on the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next question.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.out.questions.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// When `handle_timeout` is due at the latest; `None` while nothing runs.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.registrar.next_timeout(), self.transactions.next_timeout(), self.timers.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends a ban before its time; `false` if there is none.
    pub fn release_ban(&mut self, now: Now, whom: &Banned) -> bool {
        self.bans.release(now.monotonic, whom)
    }
}

#[cfg(test)]
mod tests;

//! Requests as they come in: told apart, authenticated, and handed to the registrar or a call.

use crate::auth::Staleness;
use crate::authenticator::{self, Party, Verdict};
use crate::bans::{Bans, Claim, Place};
use crate::call::{Arrival, Assurance, Call, Plan, Sender};
use crate::call_rates::TooFast;
use crate::circle;
use crate::directory::{Authentication, Peer, is_user_name};
use crate::gateway::Gateway;
use crate::guard::Pace;
use crate::history::Novelty;
use crate::message::{Message, Method, Name, Uri};
use crate::owner::Owner;
use crate::refusal::Refusal;
use crate::register::Refused;
use crate::registrar::Registrar;
use crate::respond::{self, Length};
use crate::route;
use crate::transaction::{Incoming, ServerKey};
use crate::types::{CallUid, Event, Flow, Now, ProfileId, Transport};

/// Why a known source's request is met with silence.
const TOO_FAST_FOR_KNOWN: &str = "too many requests from this known source";

const ACK_TO_NOTHING: &str = "an ACK within no call that there is";
const ACK_FROM_ELSEWHERE: &str = "an ACK from elsewhere than the call's peer";

impl Gateway {
    pub(crate) fn on_request(&mut self, now: Now, flow: Flow, request: &Message) {
        if self.known_peer(now, flow).is_some() {
            self.note_proof(flow);
        }
        match self.transactions.receive_request(now.monotonic, flow, request, &mut self.out) {
            Incoming::Absorbed => {}
            Incoming::AckOf2xx => self.on_ack(now, flow, request),
            Incoming::New if *request.method() == Method::Cancel => self.on_cancel(now, flow, request),
            Incoming::New if has_to_tag(request) => self.on_request_in_dialog(now, flow, request),
            Incoming::New => self.on_first_request(now, flow, request),
        }
    }

    fn on_ack(&mut self, now: Now, flow: Flow, ack: &Message) {
        let Some((uid, id)) = self.dialog_of(ack) else { return self.on_ack_to_nothing(flow, ack) };
        let mut is_of_peer = false;
        self.with_call(now, uid, |call, ctx| {
            is_of_peer = call.is_of_peer(ctx, id, ack, flow);
            if is_of_peer {
                call.note_sign_of(ctx, id);
                call.on_ack(ctx, id.role(), ack);
            }
        });
        if !is_of_peer {
            // Without its ACK the call will end, and only this line says why.
            self.out.tell(Event::Dropped { source: flow.peer, why: ACK_FROM_ELSEWHERE, is_of_note: true });
        }
    }

    /// An ACK to what was refused without state is what it should be.
    fn on_ack_to_nothing(&mut self, flow: Flow, ack: &Message) {
        let refused = self.authenticator.stateless_tag(ack, flow.peer.ip());
        if ack.to().and_then(|to| to.tag()) != Some(refused.as_str()) {
            self.drop_message(flow, ACK_TO_NOTHING);
        }
    }

    fn dialog_of(&self, request: &Message) -> Option<(CallUid, crate::call::LegId)> {
        let to = request.to()?;
        self.index.find(request.call_id()?, to.tag()?)
    }

    /// CANCEL is answered by itself, and ends the INVITE it names (RFC 3261 section 9.2).
    fn on_cancel(&mut self, now: Now, flow: Flow, cancel: &Message) {
        let invite = self.transactions.invite_of_cancel(cancel, flow);
        let call = match invite {
            Some(key) => self.invites.get(key).map(|uid| (key, *uid)),
            None => self.invite_named_by(now, flow, cancel),
        };
        if invite.is_some() || call.is_some() {
            self.confirm_cancel(now, flow, cancel);
        } else {
            self.refuse(now, flow, cancel, Refusal::NoSuchDialog);
        }
        if let Some((key, uid)) = call {
            self.with_call(now, uid, |call, ctx| call.on_cancel(ctx, key, cancel));
        }
    }

    /// The INVITE that a CANCEL is for if it comes another way than that did: over a new connection of the peer, or from
    /// another node of the carrier. Nobody is challenged for a CANCEL (RFC 3261 section 22.1).
    fn invite_named_by(&mut self, now: Now, flow: Flow, cancel: &Message) -> Option<(ServerKey, CallUid)> {
        let uid = match self.dialog_of(cancel) {
            Some((uid, _)) => uid,
            None => self.index.dialled(cancel.call_id()?, cancel.from()?.tag()?)?,
        };
        let mut invite = None;
        self.with_call(now, uid, |call, ctx| invite = call.invite_named_by(ctx, cancel, flow));
        Some((invite?, uid))
    }

    fn on_request_in_dialog(&mut self, now: Now, flow: Flow, request: &Message) {
        let Some((uid, id)) = self.dialog_of(request) else {
            return self.refuse(now, flow, request, Refusal::NoSuchDialog);
        };
        // A stranger's leaves nothing behind, least of all an INVITE that it could cancel.
        let mut sender = Sender::Stranger;
        self.with_call(now, uid, |call, ctx| sender = call.sender_of(ctx, id, request, flow));
        match sender {
            Sender::Peer => {}
            Sender::Stranger => return self.refuse(now, flow, request, Refusal::NoSuchDialog),
            Sender::MayProve(peer) => {
                let Some(proved) = self.authenticate(now, flow, request, Party::Gateway) else { return };
                if proved != peer {
                    return self.refuse(now, flow, request, Refusal::NoSuchDialog);
                }
                self.with_call(now, uid, |call, _| call.follow_peer(id, request, flow));
            }
        }
        self.note_proof(flow);
        let Some(server) = self.transactions.open(flow, request) else {
            return self.refuse(now, flow, request, Refusal::Overloaded);
        };
        if *request.method() == Method::Invite {
            self.invites.insert(server, uid);
        }
        self.with_call(now, uid, |call, ctx| {
            call.note_sign_of(ctx, id);
            call.on_request_in_order(ctx, id, server, request, flow);
        });
    }

    fn on_first_request(&mut self, now: Now, flow: Flow, request: &Message) {
        // What a stranger opens is counted where it is challenged.
        if !self.is_stranger(now, flow) && !self.may_speak(now, flow) {
            return self.drop_message(flow, TOO_FAST_FOR_KNOWN);
        }
        if self.is_too_much(now, request) {
            return self.shed(now, flow, request);
        }
        match request.method() {
            // Who calls comes before what is wrong with the call (RFC 3261 section 8.2): the attempt is recorded.
            Method::Invite => self.on_invite(now, flow, request),
            _ if !respond::unknown_extensions(request).is_empty() => {
                self.refuse_extensions(now, flow, request);
            }
            Method::Register => self.on_register(now, flow, request),
            Method::Options => self.on_options(now, flow, request),
            Method::Bye | Method::Info | Method::Prack | Method::Update | Method::Notify => {
                let keeps_alive =
                    request.header(Name::Event).is_some_and(|event| event.eq_ignore_ascii_case("keep-alive"));
                if keeps_alive && self.may_speak(now, flow) {
                    self.confirm(now, flow, request);
                } else {
                    self.refuse(now, flow, request, Refusal::NoSuchDialog);
                }
            }
            _ => self.refuse(now, flow, request, Refusal::MethodNotAllowed),
        }
    }

    /// Whether a request would only make the waits of others longer. A registration asks nothing of the ledger.
    fn is_too_much(&self, now: Now, request: &Message) -> bool {
        let is_call = *request.method() == Method::Invite;
        let is_waited_for = self.load.inputs_wait() || is_call && self.load.ledger_is_behind(now.monotonic);
        is_waited_for && brings_new_work(request)
    }

    /// Refuses new work while there is too much of it: those we know at once and without state, so that they can try
    /// another way; strangers by silence. A challenge that was answered is work already begun, and goes on.
    fn shed(&mut self, now: Now, flow: Flow, request: &Message) {
        if self.is_stranger(now, flow) {
            return self.drop_message(flow, "overloaded, and the source is not known");
        }
        if *request.method() == Method::Register {
            // A refresh; it comes again by itself.
            return self.drop_message(flow, "overloaded");
        }
        self.refuse_at_once(now, flow, request, Refusal::Overloaded);
        self.out.tell(Event::Shed { source: flow.peer });
    }

    /// OPTIONS from somebody we serve is a question whether we live: without a 200 many PBXs take the trunk out of
    /// service. A PBX may ask before it has registered, so the shape of a user name will do; that there is such a user
    /// is not said.
    fn on_options(&mut self, now: Now, flow: Flow, request: &Message) {
        let is_user = claimed_user(request).is_some_and(|user| is_user_name(&user));
        if !self.is_stranger(now, flow) || (is_user && self.may_speak(now, flow)) {
            self.confirm(now, flow, request);
        } else {
            self.refuse(now, flow, request, Refusal::UnknownPeer);
        }
    }

    /// Whether neither a rule nor a registration knows the host.
    pub(crate) fn is_stranger(&self, now: Now, flow: Flow) -> bool {
        self.known_peer(now, flow).is_none() && !self.registrar.is_bound_host(flow.peer.ip())
    }

    /// Whether an answer is owed: strangers get only so many a second, and so does a known address, which may be forged.
    pub(crate) fn may_speak(&mut self, now: Now, flow: Flow) -> bool {
        let rates = if self.is_stranger(now, flow) { &mut self.rates } else { &mut self.known_rates };
        rates.take(now.monotonic, flow.peer.ip()) == Pace::Within
    }

    /// Who proved its password, or `None` after the challenge or refusal has been sent.
    pub(crate) fn authenticate(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        party: Party,
    ) -> Option<Peer> {
        let (source, steady) = (flow.peer.ip(), self.steady(now));
        let registrar = &self.registrar;
        let before = |id| {
            let is_bound_here = registrar.binding(id).is_some_and(|bound| bound.flow.peer.ip() == source);
            (party == Party::Gateway && is_bound_here).then(|| registrar.password_before(id)).flatten()
        };
        let (bans, out) = (&mut self.bans, &mut self.out);
        let hear = |claim: &Claim| {
            let place = place_of(registrar, bans, flow, claim);
            bans.hear(now.monotonic, claim, place, out)
        };
        let request_here = (request, party, source);
        match self.authenticator.check(steady, &self.settings, &self.directory, request_here, before, hear) {
            Verdict::Accepted(peer) => self.on_right_password(now, flow, request, party, peer),
            Verdict::Challenge(staleness) => {
                let why =
                    (staleness == Staleness::Stale).then(|| self.note_stale(now, flow, request)).flatten();
                self.challenge(now, flow, request, party, (staleness, why));
                None
            }
            Verdict::Useless { user, why, is_answer } => {
                self.on_useless_credentials(now, flow, request, party, (&user, why, is_answer));
                None
            }
            Verdict::Unheard(hearing) => {
                self.drop_message(flow, hearing.why());
                None
            }
            Verdict::Refused(claim) => {
                self.on_wrong_password(now, flow, request, &claim);
                None
            }
        }
    }

    /// The peer that proved its password, unless it is known by its addresses and this is none of them.
    fn on_right_password(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        party: Party,
        peer: Peer,
    ) -> Option<Peer> {
        self.bans.note_right(now.monotonic, flow.peer.ip(), peer);
        self.forget_stale(flow, request);
        let Some(profile) = peer.profile().and_then(|id| self.directory.profile(id)).cloned() else {
            self.note_proof(flow);
            return Some(peer);
        };
        let registers = matches!(profile.authentication, Authentication::Registration { .. });
        let why = match party {
            Party::Registrar if !registers => Some(Refusal::KnownByAddress),
            _ if !profile.may_prove_over(flow) => Some(Refusal::AddressNotAllowed),
            _ => None,
        };
        if let Some(why) = why {
            self.refuse_request(now, flow, request, &Refused::of(Some(&profile), why));
            if *request.method() == Method::Invite {
                self.record_unproved(now, flow, request, peer, why);
            }
            return None;
        }
        self.note_proof(flow);
        if !profile.id.is_phone() {
            let is_new = self.history.note(now, flow, profile.id) == Novelty::New;
            if is_new || profile.claims_alone(flow) {
                let (address, transport) = (flow.peer.ip().to_canonical(), flow.transport);
                self.out.tell(Event::PasswordProved { profile: profile.id, address, transport });
            }
        }
        Some(peer)
    }

    /// Refuses an answer to our challenge. Nothing in the refusal says whether there is a user of that name.
    fn on_wrong_password(&mut self, now: Now, flow: Flow, request: &Message, claim: &Claim) {
        let place = place_of(&self.registrar, &self.bans, flow, claim);
        self.bans.note_wrong(now.monotonic, claim, place, &mut self.out);
        if self.rates.take(now.monotonic, flow.peer.ip()) != Pace::Within {
            return self.drop_message(flow, "too many refused requests from this source");
        }
        let profile = claim.peer.and_then(Peer::profile).and_then(|id| self.directory.profile(id)).cloned();
        let why = if profile.is_some() { Refusal::BadCredentials } else { Refusal::UnknownUser };
        let refused = Refused { user: Some(&claim.user), ..Refused::of(profile.as_ref(), why) };
        self.refuse_request(now, flow, request, &refused);
        if let (Method::Invite, Some(profile)) = (request.method(), &profile) {
            self.record_unproved(now, flow, request, Peer::Profile(profile.id), why);
        }
    }

    /// Credentials that can never be right are challenged again, and told what is wrong with them. The profile's card is
    /// told as well if they answer a nonce of ours, so that the sender is where it says.
    fn on_useless_credentials(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        party: Party,
        (user, why, is_answer): (&str, Refusal, bool),
    ) {
        let profile = self.directory.profile_of_user(user).filter(|_| is_answer).cloned();
        self.note_refused(
            now,
            flow,
            request,
            &Refused { user: Some(user), ..Refused::of(profile.as_ref(), why) },
        );
        self.challenge(now, flow, request, party, (Staleness::Fresh, Some(why)));
    }

    /// Every nonce grows old, so now and then an old one is answered. Who answers nothing else is challenged for ever: its
    /// source changes from request to request, or it sends the same credentials each time. After some times that is said.
    fn note_stale(&mut self, now: Now, flow: Flow, request: &Message) -> Option<Refusal> {
        let user = authenticator::claimed_users(request, &self.settings.realm).next()?;
        let key = (self.authenticator.lot(&user), flow.peer.ip());
        if self.stale.take(now.monotonic, key) == Pace::Within {
            return None;
        }
        let why = Refusal::CredentialsStale;
        let profile = self.directory.profile_of_user(&user).cloned();
        let refused = Refused { user: Some(&user), ..Refused::of(profile.as_ref(), why) };
        self.note_refused(now, flow, request, &refused);
        Some(why)
    }

    /// A right answer: what was old before it had grown old in the course of things.
    fn forget_stale(&mut self, flow: Flow, request: &Message) {
        if !self.stale.is_empty()
            && let Some(user) = authenticator::claimed_users(request, &self.settings.realm).next()
        {
            self.stale.forget((self.authenticator.lot(&user), flow.peer.ip()));
        }
    }

    /// Refuses what requires an extension that we do not have; a REGISTER is noted.
    fn refuse_extensions(&mut self, now: Now, flow: Flow, request: &Message) {
        let why = Refusal::ExtensionUnsupported;
        if *request.method() == Method::Register {
            let user = claimed_user(request);
            let refused = Refused { user: user.as_deref(), ..Refused::of(None, why) };
            self.note_refused(now, flow, request, &refused);
        }
        self.refuse(now, flow, request, why);
    }

    pub(crate) fn means_us(&self, flow: Flow, request: &Message) -> bool {
        Uri::parse(request.request_uri()).is_ok_and(|uri| route::means_us(&self.settings, &uri, flow.local))
    }

    /// What keeps a known peer's INVITE from becoming a call.
    fn why_not_opened(&self, flow: Flow, invite: &Message) -> Option<Refusal> {
        if hops_left(invite) == 0 {
            Some(Refusal::LoopDetected)
        } else if !self.means_us(flow, invite) {
            Some(Refusal::UnknownHost)
        } else if !respond::unknown_extensions(invite).is_empty() {
            Some(Refusal::ExtensionUnsupported)
        } else if invite.header(Name::Replaces).is_some() {
            // RFC 3891 section 3: a call to take over must be one of ours, and within a call there is none to take.
            Some(Refusal::NoSuchDialog)
        } else if self.is_draining {
            Some(Refusal::ShuttingDown)
        } else if self.calls.len() >= self.settings.limits.calls {
            Some(Refusal::Overloaded)
        } else {
            None
        }
    }

    /// Refuses a known peer's INVITE before a call is opened. The transaction absorbs its repetitions, so that one
    /// attempt leaves one record.
    fn refuse_invite(&mut self, now: Now, flow: Flow, invite: &Message, peer: Peer, why: Refusal) {
        let Some(server) = self.transactions.open(flow, invite) else {
            self.refuse(now, flow, invite, Refusal::Overloaded);
            return self.record_unopened(now, flow, invite, peer, Refusal::Overloaded);
        };
        let tag = self.rng.token();
        let mut writer = respond::response(&self.settings, invite, why.status(), Some(&tag), flow.peer);
        respond::explain_in(&mut writer, &self.settings, invite, why, Length::Full);
        self.transactions.answer(now.monotonic, server, why.status(), writer.finish(), &mut self.out);
        self.record_unopened(now, flow, invite, peer, why);
    }

    /// Counts a call that a profile begins, or says which limit is exceeded.
    fn count_call(&mut self, now: Now, invite: &Message, profile: ProfileId) -> Result<(), TooFast> {
        let (directory, calls) = (&self.directory, &self.settings.calls);
        let is_emergency = || {
            let caller = directory.profile(profile);
            let uri = Uri::parse(invite.request_uri()).ok();
            caller.zip(uri).is_some_and(|(caller, uri)| route::is_for_help(calls, caller, &uri))
        };
        self.call_rates.count(now.monotonic, directory, profile, is_emergency)
    }

    /// Refuses a call beyond a limit of calls a second without state, and as a rule without a record, since these are what the
    /// limit is to save. All are counted.
    fn refuse_too_fast(
        &mut self,
        now: Now,
        flow: Flow,
        invite: &Message,
        profile: ProfileId,
        beyond: TooFast,
    ) {
        let TooFast { why, record } = beyond;
        self.refuse(now, flow, invite, why);
        self.out.tell(Event::CallTooFast { profile, source: flow.peer, why, unrecorded: record });
        if let Some(unrecorded) = record {
            self.record_too_fast(now, flow, invite, profile, (why, unrecorded));
        }
    }

    fn on_invite(&mut self, now: Now, flow: Flow, invite: &Message) {
        let owner = self.owner(now, flow, invite);
        if let Owner::Doubted(known, doubt) = owner
            && Party::Gateway.credentials(invite).next().is_none()
        {
            self.out.tell(Event::OwnerDoubted { known: known.profile(), source: flow.peer, doubt });
        }
        let (peer, assurance) = match owner {
            // A certificate is shown over a connection, and so is an address that cannot be forged.
            Owner::Known(peer) if flow.transport == Transport::Udp => (Some(peer), Assurance::Presumed),
            Owner::Known(peer) => (Some(peer), Assurance::Proved),
            Owner::Doubted(..) | Owner::Unknown => {
                (self.authenticate(now, flow, invite, Party::Gateway), Assurance::Proved)
            }
        };
        let Some(peer) = peer else { return };
        if let Some(profile) = peer.profile()
            && let Err(beyond) = self.count_call(now, invite, profile)
        {
            return self.refuse_too_fast(now, flow, invite, profile, beyond);
        }
        if let Some(why) = self.why_not_opened(flow, invite) {
            return self.refuse_invite(now, flow, invite, peer, why);
        }
        let Some(server) = self.transactions.open(flow, invite) else {
            return self.refuse_invite(now, flow, invite, peer, Refusal::Overloaded);
        };
        let max_forwards = hops_left(invite).saturating_sub(1).min(self.settings.calls.max_forwards);
        let uid = self.rng.call_uid();
        let mut plan = Plan::new(&self.directory, &self.settings, peer, invite, &mut self.rng);
        if plan.refusal.is_none() && circle::runs_in_circle(&self.calls, peer, invite, &plan) {
            plan.refusal = Some(Refusal::ForwardedInCircle);
        }
        let arrival =
            Arrival { invite: invite.clone(), server, flow, peer, assurance, max_forwards, uid, plan };
        let call = Call::open(&mut self.context(now), arrival);
        self.invites.insert(server, call.uid);
        self.keep(now, Box::new(call));
    }
}

/// Max-Forwards; one that is absent counts as RFC 3261 section 8.1.1.6 would have it.
fn hops_left(invite: &Message) -> u8 {
    invite.max_forwards().unwrap_or(70)
}

/// Whether a request begins something: a call, or a registration that has not been challenged yet.
fn brings_new_work(request: &Message) -> bool {
    let is_begun =
        || [Name::Authorization, Name::ProxyAuthorization].iter().any(|name| request.header(*name).is_some());
    matches!(request.method(), Method::Invite | Method::Register) && !is_begun()
}

fn has_to_tag(request: &Message) -> bool {
    request.to().is_some_and(|to| to.tag().is_some())
}

/// The user that a request says to be from.
fn claimed_user(request: &Message) -> Option<String> {
    let from = request.from()?;
    let uri = from.uri().ok()?;
    uri.user().map(str::to_owned)
}

/// Where a claim comes from, as the bans see it.
fn place_of(registrar: &Registrar, bans: &Bans, flow: Flow, claim: &Claim) -> Place {
    let source = flow.peer.ip();
    let binding = claim.peer.and_then(Peer::profile).and_then(|profile| registrar.binding(profile));
    match claim.peer {
        Some(peer) if peer.profile().is_some_and(|profile| registrar.is_way_of(profile, flow)) => {
            Place::Binding
        }
        Some(peer) if binding.is_some_and(|bound| bound.flow.peer.ip() == source) => Place::Home(peer),
        Some(peer) if bans.is_home(source, peer) => Place::Home(peer),
        _ => Place::Elsewhere(source),
    }
}

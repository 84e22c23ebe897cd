//! Requests as they come in: told apart, authenticated, and handed to the registrar or a call.

use std::sync::Arc;

use crate::auth::Staleness;
use crate::authenticator::{self, Party, Verdict};
use crate::bans::{Bans, Claim, Place};
use crate::call::{Arrival, Assurance, Call, Plan, Sender};
use crate::circle;
use crate::directory::{Authentication, DigestPolicy, Peer, Profile, is_user_name};
use crate::gateway::Gateway;
use crate::guard::Pace;
use crate::history::Novelty;
use crate::message::{Message, MessageWriter, Method, Name, Uri};
use crate::owner::Owner;
use crate::refusal::Refusal;
use crate::registrar::{Registrar, Registration};
use crate::respond::{self, ALLOW};
use crate::route;
use crate::settings::Settings;
use crate::transaction::{Incoming, ServerKey};
use crate::types::{CallUid, Event, Flow, Now, Transport};

/// Why a stranger's request is met with silence.
pub(crate) const TOO_FAST: &str = "too many unproved requests from this source";
/// Why a known source's is.
const TOO_FAST_FOR_KNOWN: &str = "too many requests from this known source";

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
        let Some((uid, id)) = self.dialog_of(ack) else { return };
        self.with_call(now, uid, |call, ctx| {
            if call.is_of_peer(ctx, id, ack, flow) {
                call.note_sign_of(ctx, id);
                call.on_ack(ctx, id.role(), ack);
            }
        });
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
            self.confirm(flow, cancel);
        } else {
            self.refuse(now, flow, cancel, Refusal::NoSuchDialog);
        }
        if let Some((key, uid)) = call {
            self.with_call(now, uid, |call, ctx| call.on_cancel(ctx, key));
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
                self.refuse_extensions(now, flow, request)
            }
            Method::Register => self.on_register(now, flow, request),
            Method::Options => self.on_options(now, flow, request),
            Method::Bye | Method::Info | Method::Prack | Method::Update | Method::Notify => {
                let keeps_alive =
                    request.header(Name::Event).is_some_and(|event| event.eq_ignore_ascii_case("keep-alive"));
                if keeps_alive && self.may_speak(now, flow) {
                    self.confirm(flow, request);
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
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        self.out.send(flow, respond::refusal(&self.settings, request, Refusal::Overloaded, &tag, flow.peer));
        self.out.tell(Event::Shed { source: flow.peer });
    }

    fn refuse_extensions(&mut self, now: Now, flow: Flow, request: &Message) {
        if !self.may_speak(now, flow) {
            return self.drop_message(flow, TOO_FAST);
        }
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        let mut writer = respond::response(&self.settings, request, 420, Some(&tag), flow.peer);
        explain(&mut writer, &self.settings, request, Refusal::ExtensionUnsupported);
        self.out.send(flow, writer.finish());
    }

    /// OPTIONS from somebody we serve is a question whether we live: without a 200 many PBXs take the trunk out of
    /// service. A PBX may ask before it has registered, so the shape of a user name will do; that there is such a user
    /// is not said.
    fn on_options(&mut self, now: Now, flow: Flow, request: &Message) {
        let is_user = claimed_user(request).is_some_and(|user| is_user_name(&user));
        if !self.is_stranger(now, flow) || (is_user && self.may_speak(now, flow)) {
            self.confirm(flow, request);
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

    /// 200 without state: a repeated request gets the same answer again (RFC 3261 section 8.2.7).
    fn confirm(&mut self, flow: Flow, request: &Message) {
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        let mut writer = respond::response(&self.settings, request, 200, Some(&tag), flow.peer);
        if *request.method() != Method::Cancel {
            writer.header(Name::Allow, ALLOW);
            writer.header(Name::Accept, "application/sdp");
            writer.header(Name::Supported, respond::SUPPORTED.join(", "));
        }
        self.out.send(flow, writer.finish());
    }

    /// Refuses without state, so that whoever proves nothing costs no memory; a stranger who asks too fast gets
    /// silence.
    fn refuse(&mut self, now: Now, flow: Flow, request: &Message, why: Refusal) {
        if !self.may_speak(now, flow) {
            return self.drop_message(flow, TOO_FAST);
        }
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        let bytes = respond::refusal(&self.settings, request, why, &tag, flow.peer);
        self.out.send(flow, bytes);
    }

    fn on_register(&mut self, now: Now, flow: Flow, request: &Message) {
        let Some(peer) = self.authenticate(now, flow, request, Party::Registrar) else { return };
        let profile = match peer {
            Peer::Profile(id) => self.directory.profile(id).cloned(),
            Peer::Carrier(_) => None,
        };
        let Some(profile) = profile else {
            // A carrier has proved its password, but has nothing to register.
            return self.refuse(now, flow, request, Refusal::UnknownPeer);
        };
        let address = request.to().and_then(|to| to.uri().ok()).and_then(|uri| uri.user().map(str::to_owned));
        if address.as_deref() != Some(profile.user.as_str()) {
            // The address of record must be the user's own (RFC 3261 section 10.3 step 4).
            return self.refuse_request(
                now,
                flow,
                request,
                (&profile.user, Some(&profile)),
                Refusal::BadCredentials,
            );
        }
        let known = (profile.user.as_str(), Some(&profile));
        if self.directory.is_taken(&profile) {
            return self.refuse_request(now, flow, request, known, Refusal::AccountAttached);
        }
        if !self.means_us(flow, request) {
            return self.refuse_request(now, flow, request, known, Refusal::UnknownHost);
        }
        let domain = self.settings.domain.clone();
        let settings = &self.settings.registration;
        let registration = self.registrar.register(now, settings, profile.id, request, flow, &mut self.out);
        match registration {
            Registration::Done(bound) => {
                // Whoever registers knows the password of today.
                self.registrar.forget_password_before(profile.id);
                self.confirm_register(now, flow, request, bound);
                self.reunite(now, profile.id);
            }
            Registration::TooBrief { min_s } => self.answer_with(now, flow, request, 423, |writer| {
                writer.header(Name::MinExpires, min_s);
                respond::explain_at(writer, &domain, Refusal::IntervalTooBrief);
            }),
            Registration::Refused(why) => {
                self.refuse_request(now, flow, request, (&profile.user, Some(&profile)), why);
            }
            // RFC 3261 section 10.3 step 7: an old request that comes late fails.
            Registration::OutOfOrder => self.answer_with(now, flow, request, 500, |writer| {
                respond::explain_at(writer, &domain, Refusal::RequestOutOfOrder);
            }),
        }
    }

    fn confirm_register(&mut self, now: Now, flow: Flow, request: &Message, bound: Option<(String, u32)>) {
        self.answer_with(now, flow, request, 200, |writer| {
            if let Some((contact, expires_s)) = bound {
                writer.header(Name::Contact, format_args!("{contact};expires={expires_s}"));
                writer.header(Name::Expires, expires_s);
            }
        });
    }

    fn refuse_request(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        (user, profile): (&str, Option<&Arc<Profile>>),
        why: Refusal,
    ) {
        self.out.tell(Event::RequestRefused {
            method: request.method().as_str().to_owned(),
            profile: profile.map(|profile| profile.id),
            user: user.to_owned(),
            source: flow.peer,
            refusal: why,
        });
        let domain = self.settings.domain.clone();
        // Whether the user name or the password is wrong is for the log alone.
        let told = if why == Refusal::UnknownUser { Refusal::BadCredentials } else { why };
        self.answer_with(now, flow, request, told.status(), |writer| {
            respond::explain_at(writer, &domain, told)
        });
    }

    fn answer_with(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        status: u16,
        add: impl FnOnce(&mut MessageWriter),
    ) {
        let Some(server) = self.transactions.open(flow, request) else {
            return self.refuse(now, flow, request, Refusal::Overloaded);
        };
        let tag = self.rng.token();
        let mut writer = respond::response(&self.settings, request, status, Some(&tag), flow.peer);
        add(&mut writer);
        self.transactions.answer(now.monotonic, server, status, writer.finish(), &mut self.out);
    }

    /// Who proved its password, or `None` after the challenge or refusal has been sent.
    fn authenticate(&mut self, now: Now, flow: Flow, request: &Message, party: Party) -> Option<Peer> {
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
                self.challenge(now, flow, request, party, staleness);
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
            self.refuse_request(now, flow, request, (&profile.user, Some(&profile)), why);
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
        self.refuse_request(now, flow, request, (&claim.user, profile.as_ref()), why);
        if let (Method::Invite, Some(profile)) = (request.method(), &profile) {
            self.record_unproved(now, flow, request, Peer::Profile(profile.id), why);
        }
    }

    /// Challenges without state (RFC 3261 section 8.2.7): a request that brings no proof costs no memory.
    fn challenge(&mut self, now: Now, flow: Flow, request: &Message, party: Party, staleness: Staleness) {
        if self.rates.take(now.monotonic, flow.peer.ip()) != Pace::Within {
            return self.drop_message(flow, TOO_FAST);
        }
        let steady = self.steady(now);
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        let mut writer = respond::response(&self.settings, request, party.status(), Some(&tag), flow.peer);
        let policy = self.policy_for(now, flow, request);
        let (realm, salt) = (&self.settings.realm, self.rng.next_u64());
        let source = flow.peer.ip();
        for value in self.authenticator.challenges(steady, realm, policy, staleness, source, salt) {
            writer.header(party.challenge_header(), value);
        }
        self.out.send(flow, writer.finish());
    }

    /// What a request is challenged with: as the user that it names, or whose PBX has registered over the flow, or has
    /// proved its password from there.
    /// Which of the names counts depends on their shape alone, so that the choice tells nobody which users exist.
    fn policy_for(&self, now: Now, flow: Flow, request: &Message) -> DigestPolicy {
        let names: Vec<_> = authenticator::claimed_users(request, &self.settings.realm).collect();
        let user_of = |profile| self.directory.profile(profile).map(|profile| &profile.user);
        let bound = || user_of(self.registrar.profiles_at(flow).next()?);
        let proved = || user_of(self.history.at(now.monotonic, flow).next()?.profile);
        let shaped = names.iter().find(|name| is_user_name(name));
        let named = shaped.or_else(bound).or_else(proved).or_else(|| names.first());
        self.authenticator.policy(&self.directory, named.map_or("", String::as_str))
    }

    fn means_us(&self, flow: Flow, request: &Message) -> bool {
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
        explain(&mut writer, &self.settings, invite, why);
        self.transactions.answer(now.monotonic, server, why.status(), writer.finish(), &mut self.out);
        self.record_unopened(now, flow, invite, peer, why);
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
        self.keep(now, call);
    }
}

/// Max-Forwards; one that is absent counts as RFC 3261 section 8.1.1.6 would have it.
fn hops_left(invite: &Message) -> u8 {
    invite.max_forwards().unwrap_or(70)
}

/// Adds why to a refusal, with what in the request is to blame.
fn explain(writer: &mut MessageWriter, settings: &Settings, request: &Message, why: Refusal) {
    if why == Refusal::ExtensionUnsupported {
        writer.header(Name::Unsupported, respond::unknown_extensions(request).join(", "));
    }
    respond::explain(writer, settings, why);
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

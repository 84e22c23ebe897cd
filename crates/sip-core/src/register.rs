//! REGISTER: whose address of record it binds, and why it is refused.
//!
//! Every refusal has its own cause, told in the same words in the response, in the log and on the profile's card
//! (`registrar/refused.rs`). 403 says that the password is wrong and nothing else: many PBXs give up on it.

use std::sync::Arc;

use crate::authenticator::Party;
use crate::directory::{Directory, Peer, Profile};
use crate::gateway::Gateway;
use crate::message::{Message, MessageWriter, Method, Name, Uri};
use crate::number::{are_digits, bare, e164, full_digits, unseparated};
use crate::refusal::Refusal;
use crate::registrar::{Bound, RefusedRegistration, Registration};
use crate::respond;
use crate::types::{Event, Flow, Now, ProfileId};

/// A request that is refused, for the log and the profile's card.
pub(crate) struct Refused<'a> {
    pub(crate) profile: Option<&'a Arc<Profile>>,
    /// The user name tried, where it is not the profile's own.
    pub(crate) user: Option<&'a str>,
    pub(crate) why: Refusal,
    /// What exactly is wrong, if the reason does not say it.
    pub(crate) detail: Option<&'static str>,
}

impl<'a> Refused<'a> {
    pub(crate) fn of(profile: Option<&'a Arc<Profile>>, why: Refusal) -> Self {
        Self { profile, user: None, why, detail: None }
    }

    fn user(&self) -> &str {
        self.user.or_else(|| Some(self.profile?.user.as_str())).unwrap_or_default()
    }
}

impl Gateway {
    pub(crate) fn on_register(&mut self, now: Now, flow: Flow, request: &Message) {
        let Some(peer) = self.authenticate(now, flow, request, Party::Registrar) else { return };
        let profile = match peer {
            Peer::Profile(id) => self.directory.profile(id).cloned(),
            Peer::Carrier(_) => None,
        };
        let Some(profile) = profile else {
            return self.refuse_request(now, flow, request, &Refused::of(None, Refusal::CarrierRegisters));
        };
        if let Some(why) = self.why_not_registered(flow, request, &profile) {
            return self.refuse_request(now, flow, request, &Refused::of(Some(&profile), why));
        }
        let settings = &self.settings.registration;
        match self.registrar.register(now, settings, profile.id, request, flow, &mut self.out) {
            Registration::Done(bound) => {
                // Whoever registers knows the password of today.
                self.registrar.forget_password_before(profile.id);
                self.confirm_register(now, flow, request, bound);
                self.reunite(now, profile.id);
            }
            Registration::TooBrief { min_s } => {
                let refused = Refused::of(Some(&profile), Refusal::IntervalTooBrief);
                self.note_refused(now, flow, request, &refused);
                self.refuse_with(now, flow, request, refused.why, |writer| {
                    writer.header(Name::MinExpires, min_s);
                });
            }
            Registration::Refused(why) => {
                self.refuse_request(now, flow, request, &Refused::of(Some(&profile), why));
            }
        }
    }

    /// What keeps whoever proved a profile's password from registering.
    fn why_not_registered(&self, flow: Flow, request: &Message, profile: &Profile) -> Option<Refusal> {
        let to = request.to();
        let address = to.as_ref().and_then(|to| to.uri().ok());
        if !address.is_some_and(|address| is_own_address(&self.directory, profile, &address)) {
            // RFC 3261 section 10.3 step 5.
            Some(Refusal::AddressOfAnother)
        } else if self.directory.is_taken(profile) {
            Some(Refusal::AccountAttached)
        } else if !self.means_us(flow, request) {
            Some(Refusal::UnknownHost)
        } else {
            None
        }
    }

    fn confirm_register(&mut self, now: Now, flow: Flow, request: &Message, bound: Option<Bound>) {
        self.answer_with(now, flow, request, 200, |writer| {
            if let Some(Bound { contact, left_s }) = bound {
                // A PBX finds its own binding by comparing.
                let own = request.headers(Name::Contact).map(Bound::pieces);
                let own = own.into_iter().find(|pieces| pieces.concat() == contact);
                let expires = format!(";expires={left_s}");
                let octets = own.iter().flatten().map(|piece| request.octets_of(piece));
                let stored = contact.as_bytes();
                match own {
                    Some(_) => writer.verbatim(Name::Contact.as_str(), octets.chain([expires.as_bytes()])),
                    None => writer.verbatim(Name::Contact.as_str(), [stored, expires.as_bytes()]),
                };
                writer.header(Name::Expires, left_s);
            }
            // RFC 3327 section 5.3: the Path goes back as it came.
            writer.copy(request, Name::Path);
            writer.header(Name::Supported, respond::supported());
        });
    }

    /// Refuses a request whose sender has proved that it is where it says; the transaction absorbs its repetitions.
    pub(crate) fn refuse_request(&mut self, now: Now, flow: Flow, request: &Message, refused: &Refused<'_>) {
        self.note_refused(now, flow, request, refused);
        // Whether the user name or the password is wrong is for the log alone.
        let is_unknown = refused.why == Refusal::UnknownUser;
        let told = if is_unknown { Refusal::BadCredentials } else { refused.why };
        self.refuse_with(now, flow, request, told, |_| {});
    }

    fn refuse_with(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        why: Refusal,
        add: impl FnOnce(&mut MessageWriter),
    ) {
        let domain = self.settings.domain.clone();
        self.answer_with(now, flow, request, why.status(), |writer| {
            add(writer);
            respond::explain_at(writer, &domain, why);
        });
    }

    /// Tells the log, and the profile's card if it is a REGISTER.
    pub(crate) fn note_refused(&mut self, now: Now, flow: Flow, request: &Message, refused: &Refused<'_>) {
        let profile = refused.profile.map(|profile| profile.id);
        if let (Some(profile), Method::Register) = (profile, request.method()) {
            let Refused { why, detail, .. } = *refused;
            let refused =
                RefusedRegistration { profile, why, detail, source: flow.peer, at_unix_s: now.unix_s };
            self.registrar.note_refused(refused);
        }
        self.out.tell(Event::RequestRefused {
            method: request.method().as_str().to_owned(),
            profile,
            user: refused.user().to_owned(),
            source: flow.peer,
            refusal: refused.why,
            detail: refused.detail,
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

    /// Those of these profiles whose last REGISTER was refused, and why.
    pub fn refused_registrations_of(&self, profiles: &[ProfileId]) -> Vec<RefusedRegistration> {
        profiles.iter().filter_map(|profile| self.registrar.refused_of(*profile)).cloned().collect()
    }

    /// The profiles behind `after` whose last REGISTER was refused, and why, in order.
    pub fn refused_registrations(&self, after: Option<ProfileId>, most: usize) -> Vec<RefusedRegistration> {
        self.registrar.refused(after).take(most).cloned().collect()
    }
}

/// Whether an address of record is a profile's: its SIP user, one of its numbers in any form, or one of its business
/// accounts. User parts are compared decoded (RFC 3261 section 19.1.4), without what many PBXs add to them: a domain of
/// their own, and a telephone number's parameters.
fn is_own_address(directory: &Directory, profile: &Profile, address: &Uri<'_>) -> bool {
    let Some(decoded) = address.user_decoded() else { return false };
    let user = bare(decoded.split('@').next().unwrap_or_default());
    if user.eq_ignore_ascii_case(&profile.user) {
        return true;
    }
    if directory.account(user).is_some_and(|route| route.profile == profile.id) {
        return true;
    }
    let written = unseparated(user);
    let in_full = full_digits(&written).or_else(|| are_digits(&written).then_some(written.as_str()));
    let national = e164(&written, &profile.country).map(|number| number.digits);
    let is_own = |digits: &str| directory.profile_of_number(digits).is_some_and(|it| it.id == profile.id);
    in_full.is_some_and(is_own) || national.as_deref().is_some_and(is_own)
}

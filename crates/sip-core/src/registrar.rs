//! Registered PBXs: bindings, their expiry, NAT detection, and that the newest wins (RFC 3261 section 10.3).

mod wish;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::wish::{Wish, wish_of, without_expires};
use crate::directory::Profile;
use crate::message::{Host, Message, Name, NameAddr, Uri};
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::settings::RegistrationSettings;
use crate::timers::{TimerHandle, Timers};
use crate::types::{Binding, ConnectionId, Event, Flow, Now, ProfileId, SecureMedia, Unregistration};

/// The bindings, one for each profile: one profile serves one PBX.
#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<ProfileId, Entry>,
    /// A PBX may register several profiles over one connection.
    by_connection: BTreeSet<(ConnectionId, ProfileId)>,
    /// The addresses that PBXs have registered from, in order, so that those of one host stand together.
    sources: BTreeSet<(SocketAddr, ProfileId)>,
    /// How each PBX protected the media of the last call it made, for as long as it is registered; for PBXs known by
    /// their address, as long as the gateway runs.
    shown: HashMap<ProfileId, SecureMedia>,
    timers: Timers<ProfileId>,
    limit: usize,
    /// Bindings looked at for lists so far.
    #[cfg(test)]
    pub(crate) examined: std::cell::Cell<usize>,
}

#[derive(Debug)]
struct Entry {
    binding: Binding,
    expiry: TimerHandle,
    /// When it ends. The time of day in the binding is for the record alone: somebody may set the clock.
    ends: Instant,
    /// The profile as it was before its password changed: a registration made with the old one lives until it has to be
    /// refreshed, and its calls with it, so that a new password cuts nobody off.
    before: Option<Arc<Profile>>,
}

/// The answer to a REGISTER.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// 200 with what is bound now: the Contact value to echo and the seconds left.
    Done(Option<(String, u32)>),
    /// 423 with Min-Expires.
    TooBrief { min_s: u32 },
    /// 400 or another refusal.
    Refused(Refusal),
    /// An old REGISTER that came late (section 10.3 step 7).
    OutOfOrder,
}

impl Registrar {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            bindings: BTreeMap::new(),
            by_connection: BTreeSet::new(),
            sources: BTreeSet::new(),
            shown: HashMap::new(),
            timers: Timers::default(),
            limit,
            #[cfg(test)]
            examined: std::cell::Cell::default(),
        }
    }

    /// Carries out an authenticated REGISTER of `profile`.
    pub(crate) fn register(
        &mut self,
        now: Now,
        settings: &RegistrationSettings,
        profile: ProfileId,
        request: &Message,
        flow: Flow,
        out: &mut Outbox,
    ) -> Registration {
        let wish = match wish_of(request) {
            Ok(wish) => wish,
            Err(refusal) => return Registration::Refused(refusal),
        };
        if wish == Wish::Query {
            return Registration::Done(self.current(profile, now));
        }
        let (call_id, cseq) = (request.call_id().unwrap_or_default(), request.cseq().map_or(0, |(n, _)| n));
        let is_old = self.bindings.get(&profile).is_some_and(|entry| {
            // A new Call-ID is a reboot and starts a new order of its own.
            entry.binding.call_id == call_id && cseq <= entry.binding.cseq
        });
        if is_old {
            return Registration::OutOfOrder;
        }
        match wish {
            Wish::Query => Registration::Done(self.current(profile, now)),
            Wish::RemoveAll => {
                self.remove(profile, Unregistration::Asked, out);
                Registration::Done(None)
            }
            Wish::Remove(uris) => {
                // Only what is named goes: a PBX that was replaced takes nothing from its successor.
                if self
                    .binding(profile)
                    .is_some_and(|bound| uris.iter().any(|uri| is_same_uri(uri, &bound.contact_uri)))
                {
                    self.remove(profile, Unregistration::Asked, out);
                }
                Registration::Done(self.current(profile, now))
            }
            Wish::Bind { contact, expires_s } => {
                let behind_nat = is_behind_nat(request, contact.uri, flow);
                let granted = match grant(settings, expires_s, behind_nat) {
                    Ok(granted) => granted,
                    Err(min_s) => return Registration::TooBrief { min_s },
                };
                if self.bindings.len() >= self.limit && !self.bindings.contains_key(&profile) {
                    return Registration::Refused(Refusal::Overloaded);
                }
                let binding = Binding {
                    profile,
                    contact_uri: contact.uri.to_owned(),
                    contact: without_expires(contact.value),
                    flow,
                    user_agent: request.header(Name::UserAgent).map(str::to_owned),
                    call_id: call_id.to_owned(),
                    cseq,
                    behind_nat,
                    expires_unix_s: now.unix_s + u64::from(granted),
                };
                self.bind(now, binding, out);
                Registration::Done(self.current(profile, now))
            }
        }
    }

    fn bind(&mut self, now: Now, binding: Binding, out: &mut Outbox) {
        let profile = binding.profile;
        if let Some(old) = self.take(profile)
            && is_elsewhere(&old, &binding)
        {
            // Another PBX has its own ways.
            self.shown.remove(&profile);
            out.tell(Event::Unregistered { profile, why: Unregistration::Replaced });
        }
        out.tell(Event::Registered(binding.clone()));
        self.insert(now, binding);
    }

    /// Puts a binding kept over a restart back; one that has ended meanwhile, or whose connection died with the
    /// old process, is left out. None lasts longer than `longest_s`, wherever the clock was when it was written down.
    pub(crate) fn restore(&mut self, now: Now, mut binding: Binding, longest_s: u32) {
        binding.expires_unix_s = binding.expires_unix_s.min(now.unix_s + u64::from(longest_s));
        let is_usable = binding.expires_unix_s > now.unix_s && !binding.flow.transport.is_reliable();
        if is_usable && !self.bindings.contains_key(&binding.profile) && self.bindings.len() < self.limit {
            self.insert(now, binding);
        }
    }

    fn insert(&mut self, now: Now, binding: Binding) {
        let left = Duration::from_secs(binding.expires_unix_s.saturating_sub(now.unix_s));
        let profile = binding.profile;
        let ends = now.monotonic + left;
        let expiry = self.timers.start(ends, profile);
        if let Some(connection) = binding.flow.connection {
            self.by_connection.insert((connection, profile));
        }
        self.sources.insert((binding.flow.peer, profile));
        self.bindings.insert(profile, Entry { binding, expiry, ends, before: None });
    }

    fn take(&mut self, profile: ProfileId) -> Option<Binding> {
        let entry = self.bindings.remove(&profile)?;
        self.timers.stop(entry.expiry);
        self.sources.remove(&(entry.binding.flow.peer, profile));
        if let Some(connection) = entry.binding.flow.connection {
            self.by_connection.remove(&(connection, profile));
        }
        Some(entry.binding)
    }

    /// Ends a binding, if there is one.
    pub(crate) fn remove(&mut self, profile: ProfileId, why: Unregistration, out: &mut Outbox) {
        if self.take(profile).is_some() {
            self.shown.remove(&profile);
            out.tell(Event::Unregistered { profile, why });
        }
    }

    /// A lost connection ends the bindings made over it: nothing else leads to a PBX behind a NAT.
    pub(crate) fn connection_lost(&mut self, connection: ConnectionId, out: &mut Outbox) {
        let all = (connection, ProfileId(i64::MIN))..=(connection, ProfileId(i64::MAX));
        let lost: Vec<_> = self.by_connection.range(all).map(|(_, profile)| *profile).collect();
        for profile in lost {
            self.remove(profile, Unregistration::ConnectionLost, out);
        }
    }

    /// Ends what was not refreshed in time, `most` of it.
    pub(crate) fn handle_timeout(&mut self, now: Instant, most: usize, out: &mut Outbox) {
        for _ in 0..most {
            let Some(profile) = self.timers.pop_due(now) else { return };
            self.remove(profile, Unregistration::Expired, out);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The binding of a profile.
    pub(crate) fn binding(&self, profile: ProfileId) -> Option<&Binding> {
        self.bindings.get(&profile).map(|entry| &entry.binding)
    }

    /// The bindings behind `after`, in the order of their profiles.
    pub(crate) fn bindings(&self, after: Option<ProfileId>) -> impl Iterator<Item = &Binding> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.bindings.range((first, Bound::Unbounded)).map(|(_, entry)| {
            #[cfg(test)]
            self.examined.set(self.examined.get() + 1);
            &entry.binding
        })
    }

    /// Whether some PBX has registered from this host.
    pub(crate) fn is_bound_host(&self, host: IpAddr) -> bool {
        self.first_from(SocketAddr::new(host, 0)).is_some_and(|(source, _)| source.ip() == host)
    }

    /// The profiles whose PBXs have registered over this very flow: one PBX may have several.
    pub(crate) fn profiles_at(&self, flow: Flow) -> impl Iterator<Item = ProfileId> {
        let from_there = (flow.peer, ProfileId(i64::MIN))..=(flow.peer, ProfileId(i64::MAX));
        let is_over =
            move |profile: &ProfileId| self.binding(*profile).is_some_and(|bound| bound.flow == flow);
        self.sources.range(from_there).map(|(_, profile)| *profile).filter(is_over)
    }

    fn first_from(&self, source: SocketAddr) -> Option<(SocketAddr, ProfileId)> {
        self.sources.range((source, ProfileId(i64::MIN))..).next().copied()
    }

    /// The password of a profile has changed. Whoever has registered with this one may go on using it.
    pub(crate) fn keep_password(&mut self, before: &Arc<Profile>) {
        if let Some(entry) = self.bindings.get_mut(&before.id) {
            entry.before.get_or_insert_with(|| Arc::clone(before));
        }
    }

    /// The profile with the password that it had when its PBX registered, if it has another one now.
    pub(crate) fn password_before(&self, profile: ProfileId) -> Option<Arc<Profile>> {
        self.bindings.get(&profile)?.before.clone()
    }

    /// The PBX has proved that it knows the password of today.
    pub(crate) fn forget_password_before(&mut self, profile: ProfileId) {
        if let Some(entry) = self.bindings.get_mut(&profile) {
            entry.before = None;
        }
    }

    /// A PBX has made a call and shown how it protects its media.
    pub(crate) fn note_media(&mut self, profile: ProfileId, secure: SecureMedia) {
        if self.shown.len() < self.limit || self.shown.contains_key(&profile) {
            self.shown.insert(profile, secure);
        }
    }

    /// How a PBX protected its media last; `None` if it has not called yet.
    pub(crate) fn media_shown(&self, profile: ProfileId) -> Option<SecureMedia> {
        self.shown.get(&profile).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }

    fn current(&self, profile: ProfileId, now: Now) -> Option<(String, u32)> {
        let Entry { binding, ends, .. } = self.bindings.get(&profile)?;
        let left = ends.saturating_duration_since(now.monotonic).as_secs_f64().ceil();
        Some((binding.contact.clone(), left as u32))
    }
}

/// Whether two URIs mean the same (RFC 3261 section 19.1.4).
fn is_same_uri(one: &str, other: &str) -> bool {
    match (Uri::parse_leniently(one), Uri::parse_leniently(other)) {
        (Ok(one), Ok(other)) => one.equivalent(&other),
        _ => one == other,
    }
}

/// Whether the old binding was another PBX's. A PBX that refreshes keeps its Call-ID (RFC 3261 section 10.2.4); one
/// that was started anew has another, and still its instance (RFC 5626 section 4.1), or its address and Contact.
fn is_elsewhere(old: &Binding, new: &Binding) -> bool {
    if old.call_id == new.call_id || old.flow.peer == new.flow.peer {
        return false;
    }
    match (instance(old), instance(new)) {
        (Some(old), Some(new)) => old != new,
        _ => old.flow.peer.ip() != new.flow.peer.ip() || place(old) != place(new),
    }
}

fn instance(binding: &Binding) -> Option<String> {
    let contact = NameAddr::parse(&binding.contact).ok()?;
    contact.params().value("+sip.instance").map(str::to_ascii_lowercase)
}

/// What the Contact says of where the PBX is. A port that is that of the packets themselves was chosen for this one
/// flow, by its system or a NAT, and says nothing.
fn place(binding: &Binding) -> Option<(String, Option<u16>)> {
    let contact = Uri::parse_leniently(&binding.contact_uri).ok()?;
    let port = contact.port().filter(|port| *port != binding.flow.peer.port());
    Some((contact.host().to_string().to_ascii_lowercase(), port))
}

/// The interval granted, or the least that would be (by default 45 s behind a NAT or firewall, which
/// forgets an idle flow, else 3,600 s).
fn grant(settings: &RegistrationSettings, asked_s: Option<u32>, behind_nat: bool) -> Result<u32, u32> {
    let most = if behind_nat { settings.nat_s } else { settings.direct_s };
    match asked_s {
        None => Ok(most),
        Some(asked) if asked < settings.min_s => Err(settings.min_s),
        Some(asked) => Ok(asked.min(most)),
    }
}

/// Whether the PBX names itself otherwise than its packets do: in Via, or in Contact.
fn is_behind_nat(request: &Message, contact_uri: &str, flow: Flow) -> bool {
    let is_reliable = flow.transport.is_reliable();
    // A name says nothing of the address. Over UDP the port shows a NAT; a connection's port is chosen anew, so there
    // the name counts as one: a NAT taken for none forgets the flow, and the PBX is lost for an hour.
    let is_elsewhere = |host: Host<'_>| host.ip().map_or(is_reliable, |ip| ip != flow.peer.ip());
    let via_differs = request.top_via().is_some_and(|via| {
        is_elsewhere(via.host()) || (!is_reliable && via.port().unwrap_or(5060) != flow.peer.port())
    });
    let contact_differs = Uri::parse_leniently(contact_uri).is_ok_and(|uri| is_elsewhere(uri.host()));
    via_differs || contact_differs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::lex;
    use crate::types::Transport;
    use bytes::Bytes;

    const PROFILE: ProfileId = ProfileId(7);

    fn now() -> Now {
        Now { monotonic: crate::timers::testing::start(), unix_s: 1_000_000 }
    }

    fn flow(peer: &str) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            peer: peer.parse().unwrap(),
            connection: None,
        }
    }

    fn register(call_id: &str, cseq: u32, extra: &str) -> Message {
        let text = format!(
            "REGISTER sip:gw SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{cseq}\r\n\
             From: <sip:u@gw>;tag=1\r\nTo: <sip:u@gw>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n\
             Max-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap()
    }

    fn run(registrar: &mut Registrar, message: &Message, peer: &str) -> Registration {
        let settings = RegistrationSettings::default();
        registrar.register(now(), &settings, PROFILE, message, flow(peer), &mut Outbox::default())
    }

    const CONTACT: &str = "Contact: <sip:u@198.51.100.9:5060;rinstance=abc>;q=0.5;expires=600\r\n";

    #[test]
    fn the_third_pbx_of_two_is_refused_until_one_has_gone() {
        let mut registrar = Registrar::new(2);
        let settings = RegistrationSettings::default();
        let bind = |registrar: &mut Registrar, profile| {
            let message = register("a", 1, CONTACT);
            let (flow, mut out) = (flow("198.51.100.9:5060"), Outbox::default());
            registrar.register(now(), &settings, ProfileId(profile), &message, flow, &mut out)
        };
        assert!(matches!(bind(&mut registrar, 1), Registration::Done(Some(_))));
        assert!(matches!(bind(&mut registrar, 2), Registration::Done(Some(_))));
        assert_eq!(bind(&mut registrar, 3), Registration::Refused(Refusal::Overloaded));
        registrar.remove(ProfileId(1), Unregistration::Asked, &mut Outbox::default());
        assert!(matches!(bind(&mut registrar, 3), Registration::Done(Some(_))));
        assert_eq!(registrar.len(), 2);
    }

    #[test]
    fn a_name_shows_a_nat_where_the_port_cannot() {
        let named = "Contact: <sip:u@pbx.local>;expires=3600\r\n";
        let message = register("a", 1, named);
        let connected = Flow { transport: Transport::Tls, ..flow("198.51.100.9:40000") };
        assert!(is_behind_nat(&message, "sip:u@pbx.local", connected));
        assert!(!is_behind_nat(&message, "sip:u@198.51.100.9", connected));
        assert!(!is_behind_nat(&message, "sip:u@pbx.local", flow("198.51.100.9:5060")));
        assert!(is_behind_nat(&message, "sip:u@pbx.local", flow("198.51.100.9:40000")));
    }

    #[test]
    fn the_contact_is_echoed_with_its_parameters() {
        let mut registrar = Registrar::new(10);
        let done = run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
        assert_eq!(
            done,
            Registration::Done(Some(("<sip:u@198.51.100.9:5060;rinstance=abc>;q=0.5".into(), 600)))
        );
        let query = run(&mut registrar, &register("b", 1, ""), "198.51.100.9:5060");
        assert_eq!(query, done);
    }

    #[test]
    fn an_odd_contact_is_bound_and_echoed_as_it_is() {
        for contact in [
            "<sip:u@198.51.100.9:5060;thinfo=\"x y\">",
            "<sip:u v@198.51.100.9:5060 ;line= 1>;+sip.instance=\"<urn:uuid:1;2>\"",
            "sip:u@198.51.100.9:5060;+sip.instance=\"<urn:uuid:1>\"",
        ] {
            let mut registrar = Registrar::new(10);
            let message = register("a", 1, &format!("Contact: {contact};expires=600\r\n"));
            assert_eq!(crate::message::validate(&message), Ok(()), "{contact}");
            let done = run(&mut registrar, &message, "198.51.100.9:5060");
            assert_eq!(done, Registration::Done(Some((contact.to_owned(), 600))), "{contact}");
        }
    }

    #[test]
    fn a_pbx_behind_a_nat_is_given_45_seconds() {
        let mut registrar = Registrar::new(10);
        let done = run(&mut registrar, &register("a", 1, CONTACT), "203.0.113.5:40000");
        assert!(matches!(done, Registration::Done(Some((_, 45)))), "{done:?}");
        let port_only = run(&mut registrar, &register("b", 1, CONTACT), "198.51.100.9:40000");
        assert!(matches!(port_only, Registration::Done(Some((_, 45)))), "{port_only:?}");
    }

    #[test]
    fn how_a_pbx_protects_its_media_is_remembered_as_long_as_it_is_the_one() {
        let mut registrar = Registrar::new(1);
        run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
        registrar.note_media(PROFILE, SecureMedia::Optional);
        registrar.note_media(ProfileId(8), SecureMedia::Required);
        assert_eq!(registrar.media_shown(ProfileId(8)), None, "more than there may be bindings");
        run(&mut registrar, &register("a", 2, CONTACT), "198.51.100.9:5060");
        assert_eq!(registrar.media_shown(PROFILE), Some(SecureMedia::Optional), "a refresh changes nothing");
        run(&mut registrar, &register("b", 1, CONTACT), "203.0.113.5:5060");
        assert_eq!(registrar.media_shown(PROFILE), None, "another PBX");
        registrar.note_media(PROFILE, SecureMedia::Off);
        run(&mut registrar, &register("b", 2, "Contact: *\r\nExpires: 0\r\n"), "203.0.113.5:5060");
        assert_eq!(registrar.media_shown(PROFILE), None);
    }

    #[test]
    fn too_short_an_interval_is_named() {
        let mut registrar = Registrar::new(10);
        let brief = register("a", 1, "Contact: <sip:u@198.51.100.9>\r\nExpires: 5\r\n");
        assert_eq!(run(&mut registrar, &brief, "198.51.100.9:5060"), Registration::TooBrief { min_s: 20 });
    }

    #[test]
    fn the_contacts_own_interval_wins_over_expires() {
        let mut registrar = Registrar::new(10);
        let both = register("a", 1, "Contact: <sip:u@198.51.100.9>;expires=100\r\nExpires: 200\r\n");
        let done = run(&mut registrar, &both, "198.51.100.9:5060");
        assert!(matches!(done, Registration::Done(Some((_, 100)))), "{done:?}");
    }

    #[test]
    fn the_star_needs_expires_0() {
        let mut registrar = Registrar::new(10);
        run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
        let wrong = register("a", 2, "Contact: *\r\nExpires: 60\r\n");
        assert_eq!(
            run(&mut registrar, &wrong, "198.51.100.9:5060"),
            Registration::Refused(Refusal::BadContact)
        );
        let right = register("a", 3, "Contact: *\r\nExpires: 0\r\n");
        assert_eq!(run(&mut registrar, &right, "198.51.100.9:5060"), Registration::Done(None));
        assert!(registrar.binding(PROFILE).is_none());
        assert_eq!(registrar.timers.len(), 0);
    }

    #[test]
    fn a_lower_cseq_is_late_unless_the_call_id_is_new() {
        let mut registrar = Registrar::new(10);
        run(&mut registrar, &register("a", 5, CONTACT), "198.51.100.9:5060");
        assert_eq!(
            run(&mut registrar, &register("a", 4, CONTACT), "198.51.100.9:5060"),
            Registration::OutOfOrder
        );
        let rebooted = run(&mut registrar, &register("b", 1, CONTACT), "198.51.100.9:5060");
        assert!(matches!(rebooted, Registration::Done(Some(_))));
    }

    #[test]
    fn the_newest_registration_wins_and_is_told() {
        let mut registrar = Registrar::new(10);
        run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
        let mut out = Outbox::default();
        let message = register("b", 1, CONTACT);
        let settings = RegistrationSettings::default();
        registrar.register(now(), &settings, PROFILE, &message, flow("203.0.113.8:5060"), &mut out);
        assert!(matches!(out.events[0], Event::Unregistered { why: Unregistration::Replaced, .. }));
        assert_eq!(registrar.len(), 1);
        assert_eq!(registrar.timers.len(), 1);
    }

    /// Whether the second of two registrations replaced another PBX.
    fn replaces(one: (&str, &str, &str), other: (&str, &str, &str)) -> bool {
        let mut registrar = Registrar::new(10);
        let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
        for (call_id, contact, peer) in [one, other] {
            let message = register(call_id, 1, &format!("Contact: {contact}\r\n"));
            registrar.register(now(), &settings, PROFILE, &message, flow(peer), &mut out);
        }
        out.events
            .iter()
            .any(|event| matches!(event, Event::Unregistered { why: Unregistration::Replaced, .. }))
    }

    #[test]
    fn two_pbxs_behind_one_nat_are_told_apart() {
        let first = ("a", "<sip:u@192.168.1.10:5060>", "203.0.113.8:40000");
        assert!(replaces(first, ("b", "<sip:u@192.168.1.11:5060>", "203.0.113.8:40001")));
        assert!(replaces(first, ("b", "<sip:u@192.168.1.10:5070>", "203.0.113.8:40001")));
        // The same private address at another site is another PBX.
        assert!(replaces(first, ("b", "<sip:u@192.168.1.10:5060>", "203.0.113.9:40000")));
        // Started anew, or behind a NAT that has forgotten it.
        assert!(!replaces(first, ("b", "<sip:u@192.168.1.10:5060;rinstance=2>", "203.0.113.8:40001")));
        assert!(!replaces(first, ("b", "<sip:u@192.168.1.99:5060>", "203.0.113.8:40000")));
        // A Contact that follows the flow.
        let rewritten = ("a", "<sip:u@203.0.113.8:40000>", "203.0.113.8:40000");
        assert!(!replaces(rewritten, ("b", "<sip:u@203.0.113.8:40001>", "203.0.113.8:40001")));
        // The instance decides where both name one.
        let known = |id| format!("<sip:u@192.168.1.10:5060>;+sip.instance=\"<urn:uuid:{id}>\"");
        let (one, other) = (known("1"), known("2"));
        assert!(replaces(("a", &one, "203.0.113.8:1"), ("b", &other, "203.0.113.8:2")));
        assert!(!replaces(("a", &one, "203.0.113.8:1"), ("b", &one, "203.0.113.9:2")));
    }

    #[test]
    fn a_pbx_that_was_replaced_takes_nothing_from_its_successor() {
        let mut registrar = Registrar::new(10);
        run(&mut registrar, &register("a", 1, "Contact: <sip:u@198.51.100.9:5060>\r\n"), "198.51.100.9:5060");
        run(&mut registrar, &register("b", 1, "Contact: <sip:u@198.51.100.7:5060>\r\n"), "198.51.100.7:5060");
        let leaves = register("a", 2, "Contact: <sip:u@198.51.100.9:5060>;expires=0\r\n");
        let answer = run(&mut registrar, &leaves, "198.51.100.9:5060");
        assert!(matches!(answer, Registration::Done(Some(_))), "{answer:?}");
        assert_eq!(registrar.len(), 1);
        let leaves = register("b", 2, "Contact: <sip:u@198.51.100.7:5060>;expires=0\r\n");
        assert_eq!(run(&mut registrar, &leaves, "198.51.100.7:5060"), Registration::Done(None));
        assert!(!registrar.is_bound_host("198.51.100.7".parse().unwrap()));
        assert!(registrar.sources.is_empty());
    }

    #[test]
    fn one_pbx_may_register_several_profiles_over_one_flow() {
        let mut registrar = Registrar::new(10);
        let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
        let there = flow("198.51.100.9:5060");
        for profile in [ProfileId(9), ProfileId(3)] {
            registrar.register(now(), &settings, profile, &register("a", 1, CONTACT), there, &mut out);
        }
        let elsewhere = Flow { transport: Transport::Tcp, ..there };
        registrar.register(now(), &settings, ProfileId(1), &register("b", 1, CONTACT), elsewhere, &mut out);
        assert_eq!(registrar.profiles_at(there).collect::<Vec<_>>(), [ProfileId(3), ProfileId(9)]);
        assert_eq!(registrar.profiles_at(elsewhere).collect::<Vec<_>>(), [ProfileId(1)]);
        assert_eq!(registrar.profiles_at(flow("198.51.100.9:5061")).count(), 0);
    }

    #[test]
    fn a_lost_connection_ends_its_binding() {
        let mut registrar = Registrar::new(10);
        let over_tcp = Flow {
            transport: Transport::Tcp,
            connection: Some(ConnectionId(3)),
            ..flow("198.51.100.9:5060")
        };
        let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
        registrar.register(now(), &settings, PROFILE, &register("a", 1, CONTACT), over_tcp, &mut out);
        registrar.connection_lost(ConnectionId(4), &mut out);
        assert!(registrar.binding(PROFILE).is_some());
        registrar.connection_lost(ConnectionId(3), &mut out);
        assert!(registrar.binding(PROFILE).is_none());
    }

    #[test]
    fn an_unrefreshed_binding_expires() {
        let mut registrar = Registrar::new(10);
        run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
        let at = registrar.next_timeout().unwrap();
        let mut out = Outbox::default();
        registrar.handle_timeout(at, 10, &mut out);
        assert!(matches!(out.events[0], Event::Unregistered { why: Unregistration::Expired, .. }));
        assert!(registrar.next_timeout().is_none());
    }
}

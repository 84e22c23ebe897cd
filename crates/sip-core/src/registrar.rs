//! Registered PBXs: bindings, their expiry, NAT detection, and that the newest wins (RFC 3261 section 10.3).

mod path;
mod refused;
mod way;
mod wish;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::path::path_of;
pub use self::refused::RefusedRegistration;
use self::refused::RefusedRegistrations;
use self::way::way_to;
use self::wish::{Wish, wish_of, without_expires};
use crate::directory::Peer;
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
    /// How each PBX has shown that it protects its media, for as long as it is registered; for PBXs known by their
    /// address, and for carriers, as long as the gateway runs.
    shown: HashMap<Peer, SecureMedia>,
    refused: RefusedRegistrations,
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
    /// 200 with what is bound now.
    Done(Option<Bound>),
    /// 423 with Min-Expires.
    TooBrief { min_s: u32 },
    /// 400 or another refusal.
    Refused(Refusal),
}

/// What is bound now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The Contact value to echo.
    pub(crate) contact: String,
    /// The seconds left.
    pub(crate) left_s: u32,
}

impl Bound {
    /// A Contact value in the pieces of it that are echoed.
    pub(crate) fn pieces(value: &str) -> Vec<&str> {
        without_expires(value)
    }
}

impl Registrar {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            bindings: BTreeMap::new(),
            by_connection: BTreeSet::new(),
            sources: BTreeSet::new(),
            shown: HashMap::new(),
            refused: RefusedRegistrations::new(limit),
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
        let (wish, path) = match (wish_of(request), path_of(request)) {
            (Ok(wish), Ok(path)) => (wish, path),
            (Err(refusal), _) | (_, Err(refusal)) => return Registration::Refused(refusal),
        };
        self.refused.forget(profile);
        if wish == Wish::Query {
            return Registration::Done(self.current(profile, now));
        }
        let (call_id, cseq) = (request.call_id().unwrap_or_default(), request.cseq().map_or(0, |(n, _)| n));
        let is_old = self.bindings.get(&profile).is_some_and(|entry| {
            // A new Call-ID is a reboot and starts a new order of its own.
            entry.binding.call_id == call_id && cseq <= entry.binding.cseq
        });
        if is_old {
            // An old REGISTER that came late fails (section 10.3 step 7).
            return Registration::Refused(Refusal::RequestOutOfOrder);
        }
        match wish {
            Wish::Query => Registration::Done(self.current(profile, now)),
            Wish::RemoveAll => {
                self.remove(profile, Unregistration::Asked, out);
                Registration::Done(None)
            }
            Wish::Remove(uris) => {
                // Only what is named goes: a PBX that was replaced takes nothing from its successor.
                let is_named = |bound: &Binding| uris.iter().any(|uri| is_same_uri(uri, &bound.contact_uri));
                if self.binding(profile).is_some_and(is_named) {
                    self.remove(profile, Unregistration::Asked, out);
                }
                Registration::Done(self.current(profile, now))
            }
            Wish::Bind { contact, expires_s } => {
                // Behind a proxy the Contact is the proxy's to reach; the proxy is what we speak to.
                let reached = path.is_empty().then_some(contact.uri.as_str());
                let behind_nat = is_behind_nat(request, reached, flow);
                let granted = match grant(settings, expires_s, behind_nat) {
                    Ok(granted) => granted,
                    Err(min_s) => return Registration::TooBrief { min_s },
                };
                if self.bindings.len() >= self.limit && !self.bindings.contains_key(&profile) {
                    return Registration::Refused(Refusal::Overloaded);
                }
                let binding = Binding {
                    profile,
                    contact: without_expires(contact.value).concat(),
                    contact_uri: contact.uri,
                    path,
                    flow,
                    user_agent: request.header(Name::UserAgent).map(str::to_owned),
                    call_id: call_id.to_owned(),
                    cseq,
                    media: None,
                    behind_nat,
                    expires_unix_s: now.unix_s + u64::from(granted),
                };
                self.bind(now, binding, out);
                Registration::Done(self.current(profile, now))
            }
        }
    }

    fn bind(&mut self, now: Now, mut binding: Binding, out: &mut Outbox) {
        let profile = binding.profile;
        if let Some(old) = self.take(profile)
            && is_elsewhere(&old, &binding)
        {
            // Another PBX has its own ways.
            self.shown.remove(&Peer::Profile(profile));
            out.tell(Event::Unregistered { profile, why: Unregistration::Replaced });
        }
        binding.media = self.media_shown(Peer::Profile(profile));
        out.tell(Event::Registered(binding.clone()));
        self.insert(now, binding);
    }

    /// Puts a binding kept over a restart back; one that has ended meanwhile, or whose connection died with the
    /// old process and was the only way to it, is left out. None lasts longer than `longest_s`, wherever the clock was when it was written down.
    pub(crate) fn restore(&mut self, now: Now, mut binding: Binding, longest_s: u32) {
        binding.expires_unix_s = binding.expires_unix_s.min(now.unix_s + u64::from(longest_s));
        binding.flow.connection = None;
        let is_usable = binding.expires_unix_s > now.unix_s && way_to(&binding).is_some();
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
        self.sources.extend(way_to(&binding).map(|way| (way.peer, profile)));
        self.bindings.insert(profile, Entry { binding, expiry, ends, before: None });
    }

    fn take(&mut self, profile: ProfileId) -> Option<Binding> {
        let entry = self.bindings.remove(&profile)?;
        self.timers.stop(entry.expiry);
        self.sources.remove(&(entry.binding.flow.peer, profile));
        if let Some(way) = way_to(&entry.binding) {
            self.sources.remove(&(way.peer, profile));
        }
        if let Some(connection) = entry.binding.flow.connection {
            self.by_connection.remove(&(connection, profile));
        }
        Some(entry.binding)
    }

    /// Ends a binding, if there is one.
    pub(crate) fn remove(&mut self, profile: ProfileId, why: Unregistration, out: &mut Outbox) {
        if self.take(profile).is_some() {
            self.shown.remove(&Peer::Profile(profile));
            out.tell(Event::Unregistered { profile, why });
        }
    }

    /// A lost connection ends the bindings made over it, unless the PBX can be connected to: nothing else leads to one
    /// behind a NAT.
    pub(crate) fn connection_lost(&mut self, connection: ConnectionId, out: &mut Outbox) {
        let all = (connection, ProfileId(i64::MIN))..=(connection, ProfileId(i64::MAX));
        let lost: Vec<_> = self.by_connection.range(all).map(|(_, profile)| *profile).collect();
        for profile in lost {
            self.by_connection.remove(&(connection, profile));
            let Some(entry) = self.bindings.get_mut(&profile) else { continue };
            entry.binding.flow.connection = None;
            match way_to(&entry.binding) {
                Some(way) => {
                    self.sources.insert((way.peer, profile));
                    out.tell(Event::ConnectionEnded { profile, contact: way.peer });
                }
                None => self.remove(profile, Unregistration::ConnectionLost, out),
            }
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
        let first = after.map_or(ops::Bound::Unbounded, ops::Bound::Excluded);
        self.bindings.range((first, ops::Bound::Unbounded)).map(|(_, entry)| {
            #[cfg(test)]
            self.examined.set(self.examined.get() + 1);
            &entry.binding
        })
    }

    /// Whether some PBX has registered from this host.
    pub(crate) fn is_bound_host(&self, host: IpAddr) -> bool {
        self.first_from(SocketAddr::new(host, 0)).is_some_and(|(source, _)| source.ip() == host)
    }

    /// The way to a profile's PBX, if it has registered.
    pub(crate) fn way_to(&self, profile: ProfileId) -> Option<Flow> {
        way_to(self.binding(profile)?)
    }

    /// Whether a profile's PBX has registered over this way, or was connected to by it.
    pub(crate) fn is_way_of(&self, profile: ProfileId, flow: Flow) -> bool {
        let ways = |bound: &Binding| [Some(bound.flow), way_to(bound)];
        self.binding(profile)
            .is_some_and(|bound| ways(bound).into_iter().flatten().any(|way| way.is_same_way(&flow)))
    }

    /// The profiles whose PBXs have registered over this very flow: one PBX may have several.
    pub(crate) fn profiles_at(&self, flow: Flow) -> impl Iterator<Item = ProfileId> {
        let from_there = (flow.peer, ProfileId(i64::MIN))..=(flow.peer, ProfileId(i64::MAX));
        let is_over = move |profile: &ProfileId| self.is_way_of(*profile, flow);
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

    /// A peer has shown how it protects its media: by the offer of a call that it made, or by taking ours.
    pub(crate) fn note_media(&mut self, peer: Peer, secure: SecureMedia, out: &mut Outbox) {
        if self.shown.len() >= self.limit && !self.shown.contains_key(&peer) {
            return;
        }
        if self.shown.insert(peer, secure) != Some(secure)
            && let Some(entry) = peer.profile().and_then(|profile| self.bindings.get_mut(&profile))
        {
            entry.binding.media = Some(secure);
            out.tell(Event::MediaShown(entry.binding.clone()));
        }
    }

    /// What a PBX had shown before the restart, whether or not its binding could be kept.
    pub(crate) fn recall_media(&mut self, binding: &Binding) {
        let peer = Peer::Profile(binding.profile);
        if let Some(secure) = binding.media.filter(|_| self.shown.len() < self.limit) {
            self.shown.entry(peer).or_insert(secure);
        }
    }

    /// How a peer protects its media; `None` if it has shown nothing yet.
    pub(crate) fn media_shown(&self, peer: Peer) -> Option<SecureMedia> {
        self.shown.get(&peer).copied()
    }

    /// A REGISTER that names a profile was refused.
    pub(crate) fn note_refused(&mut self, refused: RefusedRegistration) {
        self.refused.note(refused);
    }

    /// The profiles behind `after` whose last REGISTER was refused, in order.
    pub(crate) fn refused(&self, after: Option<ProfileId>) -> impl Iterator<Item = &RefusedRegistration> {
        self.refused.behind(after)
    }

    /// What a profile's last REGISTER was refused for.
    pub(crate) fn refused_of(&self, profile: ProfileId) -> Option<&RefusedRegistration> {
        self.refused.of(profile)
    }

    /// Forgets what a profile was refused for: it is gone, or registers no more.
    pub(crate) fn forget_refused(&mut self, profile: ProfileId) {
        self.refused.forget(profile);
    }

    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }

    fn current(&self, profile: ProfileId, now: Now) -> Option<Bound> {
        let Entry { binding, ends, .. } = self.bindings.get(&profile)?;
        let left = ends.saturating_duration_since(now.monotonic).as_secs_f64().ceil();
        Some(Bound { contact: binding.contact.clone(), left_s: left as u32 })
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
    // Several PBXs may stand behind one proxy, and come from its address.
    let is_same_source = old.flow.peer == new.flow.peer && old.path.is_empty() && new.path.is_empty();
    if old.call_id == new.call_id || is_same_source {
        return false;
    }
    match (instance(old), instance(new)) {
        (Some(old), Some(new)) => old != new,
        _ => old.flow.peer.ip() != new.flow.peer.ip() || !is_same_place(old, new),
    }
}

/// Each transport has ports of its own, so between two of them only the host tells: a PBX that goes from UDP to TCP is no
/// other.
fn is_same_place(old: &Binding, new: &Binding) -> bool {
    let (old_place, new_place) = (place(old), place(new));
    if old.flow.transport == new.flow.transport {
        return old_place == new_place;
    }
    old_place.map(|(host, _)| host) == new_place.map(|(host, _)| host)
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

/// Whether the PBX names itself otherwise than its packets do: in Via, or in the Contact by which it is reached.
fn is_behind_nat(request: &Message, contact_uri: Option<&str>, flow: Flow) -> bool {
    let is_reliable = flow.transport.is_reliable();
    // A name says nothing of the address. Over UDP the port shows a NAT; a connection's port is chosen anew, so there
    // the name counts as one: a NAT taken for none forgets the flow, and the PBX is lost for an hour.
    let is_elsewhere = |host: Host<'_>| host.ip().map_or(is_reliable, |ip| ip != flow.peer.ip());
    let via_differs = request.top_via().is_some_and(|via| {
        is_elsewhere(via.host()) || (!is_reliable && via.port().unwrap_or(5060) != flow.peer.port())
    });
    let contact = contact_uri.and_then(|uri| Uri::parse_leniently(uri).ok());
    let contact_differs = contact.is_some_and(|uri| is_elsewhere(uri.host()));
    via_differs || contact_differs
}

#[cfg(test)]
mod tests;

//! What is to be done about an INVITE, decided from the message and the directory alone.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::caller::{Caller, claimed_caller};
use crate::directory::{Carrier, Directory, Peer, Profile};
use crate::message::{Message, Uri};
use crate::number::{self, Number};
use crate::refusal::Refusal;
use crate::rng::Rng;
use crate::route::{self, Outgoing};
use crate::settings::Settings;
use crate::types::{CarrierId, CarrierLabel, CompanyId, Leg, ProfileId, Usage};

/// Somewhere to send the call.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Ourselves: the echo test.
    Echo,
    /// A customer's PBX, which is told `user` as the called number.
    Pbx { profile: Arc<Profile>, user: String },
    /// The telephone network.
    Carrier { carrier: Arc<Carrier>, digits: String },
}

/// Who pays, who is called, in which order.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) targets: VecDeque<Target>,
    /// The leases to ask for.
    pub(crate) shares: Vec<(Leg, ProfileId, Usage)>,
    /// Who calls, and whether the callee is told.
    pub(crate) caller: Caller,
    /// Who calls, for the record: a number with its `+`, anything else as it was written.
    pub(crate) calling: String,
    /// Who is called, for the record: a number that was read in E.164 with its `+`, anything else as it was dialled.
    pub(crate) called: String,
    /// Whose call it is, even if it is refused.
    pub(crate) owner: Option<(Leg, ProfileId)>,
    /// The business account's phone that calls or is called.
    pub(crate) phone: Option<Phone>,
    /// The carrier that brought the call.
    pub(crate) carrier: Option<CarrierLabel>,
    /// Why it cannot be done at all.
    pub(crate) refusal: Option<Refusal>,
}

/// A phone's half of a call: there is nothing to lease for it, only to record.
#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) leg: Leg,
    pub(crate) company: CompanyId,
    /// `None` where it calls, which it may not.
    pub(crate) usage: Option<Usage>,
}

impl Plan {
    /// Plans the call of a peer that has been recognised.
    pub(crate) fn new(
        directory: &Directory,
        settings: &Settings,
        peer: Peer,
        invite: &Message,
        rng: &mut Rng,
    ) -> Self {
        match peer {
            Peer::Profile(id) => match directory.profile(id) {
                Some(profile) => Self::outgoing(directory, settings, profile, invite, rng),
                None => Self::refused(invite, None, Caller::UNKNOWN, Refusal::UnknownPeer),
            },
            Peer::Carrier(id) => Self::incoming(directory, id, invite),
        }
    }

    fn refused(invite: &Message, owner: Option<(Leg, ProfileId)>, caller: Caller, why: Refusal) -> Self {
        let uri = Uri::parse(invite.request_uri()).ok();
        let called = uri.and_then(|uri| number::dialled(&uri)).unwrap_or_default();
        Self {
            targets: VecDeque::new(),
            shares: Vec::new(),
            calling: caller.recorded().unwrap_or_else(|| claimed_caller(invite)),
            caller,
            called,
            owner,
            phone: None,
            carrier: None,
            refusal: Some(why),
        }
    }

    fn outgoing(
        directory: &Directory,
        settings: &Settings,
        profile: &Arc<Profile>,
        invite: &Message,
        rng: &mut Rng,
    ) -> Self {
        if profile.id.is_phone() {
            let phone = Some(Phone { leg: Leg::Caller, company: profile.company, usage: None });
            return Self { phone, ..Self::refused(invite, None, Caller::UNKNOWN, Refusal::PhoneCannotCall) };
        }
        let owner = Some((Leg::Caller, profile.id));
        let refused = |why| Self::refused(invite, owner, Caller::claimed_by_pbx(profile, invite), why);
        let Ok(uri) = Uri::parse(invite.request_uri()) else { return refused(Refusal::AddressIncomplete) };
        match route::outgoing(directory, &settings.calls, profile, &uri, rng) {
            // A number that cannot be called at all is told as such.
            Ok(_) if let Some(suspended) = profile.suspended => refused(suspended.refusal()),
            Ok(Outgoing::OnNet { profile: callee, .. }) if callee.suspended.is_some() => {
                refused(Refusal::CalledSuspended)
            }
            Ok(Outgoing::Echo { number }) => Self {
                targets: [Target::Echo].into(),
                shares: vec![(Leg::Caller, profile.id, Usage::Echo)],
                called: format!("+{number}"),
                ..Self::of_profile(profile, Caller::of_profile(profile, invite, None))
            },
            Ok(Outgoing::OnNet { number, profile: callee }) => Self::on_net(profile, &callee, number, invite),
            Ok(Outgoing::Network { number, carriers }) => Self::network(profile, number, carriers, invite),
            Err(why) => refused(why),
        }
    }

    /// What is the same for all calls that a profile makes.
    fn of_profile(profile: &Profile, caller: Caller) -> Self {
        Self {
            targets: VecDeque::new(),
            shares: Vec::new(),
            // A profile without any number is known by its user name.
            calling: caller.recorded().unwrap_or_else(|| profile.user.clone()),
            caller,
            called: String::new(),
            owner: Some((Leg::Caller, profile.id)),
            phone: None,
            carrier: None,
            refusal: None,
        }
    }

    fn network(profile: &Profile, number: Number, carriers: Vec<Arc<Carrier>>, invite: &Message) -> Self {
        let digits = &number.digits;
        let target = |carrier| Target::Carrier { carrier, digits: digits.clone() };
        Self {
            targets: carriers.into_iter().map(target).collect(),
            shares: vec![(Leg::Caller, profile.id, Usage::Outgoing { number: digits.clone() })],
            called: format!("+{digits}"),
            ..Self::of_profile(profile, Caller::of_profile(profile, invite, Some(&number)))
        }
    }

    /// A call to an Online Number hosted here goes straight to its profile: no carrier is paid for it, and
    /// each side has its own channel.
    fn on_net(profile: &Profile, callee: &Arc<Profile>, number: Number, invite: &Message) -> Self {
        let digits = &number.digits;
        let user = number::present(digits, callee.number_format, &callee.country);
        let mut shares = vec![(Leg::Caller, profile.id, Usage::OnNet { number: digits.clone() })];
        shares.extend(share_of_callee(callee, digits));
        Self {
            targets: [Target::Pbx { profile: callee.clone(), user }].into(),
            shares,
            called: format!("+{digits}"),
            phone: Phone::called(callee, digits),
            ..Self::of_profile(profile, Caller::of_profile(profile, invite, Some(&number)))
        }
    }

    fn incoming(directory: &Directory, carrier: CarrierId, invite: &Message) -> Self {
        let from = directory.carrier(carrier).map(Arc::as_ref);
        let caller = Caller::of_carrier(from, invite);
        let label = from.map(Carrier::label);
        let refused =
            |owner, why| Self { carrier: label.clone(), ..Self::refused(invite, owner, caller.clone(), why) };
        let incoming = match route::incoming(directory, from, invite) {
            Ok(incoming) => incoming,
            Err(why) => return refused(None, why),
        };
        let owner = Some((Leg::Callee, incoming.profile)).filter(|(_, profile)| !profile.is_phone());
        let Some(profile) = directory.profile(incoming.profile) else {
            return refused(owner, Refusal::CalledProfileInactive);
        };
        if profile.suspended.is_some() {
            return refused(owner, Refusal::CalledSuspended);
        }
        let called = match &incoming.user {
            Some(_) => incoming.called.clone(),
            None => format!("+{}", incoming.called),
        };
        let user = incoming
            .user
            .unwrap_or_else(|| number::present(&incoming.called, profile.number_format, &profile.country));
        Self {
            targets: [Target::Pbx { profile: profile.clone(), user }].into(),
            shares: share_of_callee(profile, &incoming.called).into_iter().collect(),
            calling: caller.recorded().unwrap_or_else(|| claimed_caller(invite)),
            caller,
            called,
            owner,
            phone: Phone::called(profile, &incoming.called),
            carrier: label,
            refusal: None,
        }
    }
}

impl Plan {
    /// The profiles and phones that are to be called.
    pub(crate) fn called_profiles(&self) -> impl Iterator<Item = ProfileId> + '_ {
        self.targets.iter().filter_map(|target| match target {
            Target::Pbx { profile, .. } => Some(profile.id),
            Target::Carrier { .. } | Target::Echo => None,
        })
    }
}

impl Phone {
    fn called(callee: &Profile, called: &str) -> Option<Self> {
        let usage = Some(Usage::Incoming { called: called.to_owned() });
        callee.id.is_phone().then_some(Self { leg: Leg::Callee, company: callee.company, usage })
    }
}

/// The called profile's channel. A business account's phone has none, and needs none.
fn share_of_callee(callee: &Profile, called: &str) -> Option<(Leg, ProfileId, Usage)> {
    let share = (Leg::Callee, callee.id, Usage::Incoming { called: called.to_owned() });
    Some(share).filter(|_| !callee.id.is_phone())
}

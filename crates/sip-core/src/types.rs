//! The words that the core and its surroundings exchange: flows, transmits, questions, replies, events.

mod call_uid;
mod carrier;
mod doubt;
mod flow;
mod media;
mod registration;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub use self::call_uid::{CallUid, NoCallUid};
pub use self::carrier::{
    AddressStanding, AttemptResult, Availability, CarrierAttempt, CarrierLabel, CarrierStanding, Trouble,
};
pub use self::doubt::Doubt;
pub use self::flow::{ConnectionId, Flow, Transmit, Transport};
pub use self::media::{SdpRole, SecureMedia, Speaker};
pub use self::registration::{Binding, Unregistration};
use crate::load::Load;
use crate::refusal::Refusal;
use crate::sdp::{LocalMedia, RemoteMedia};

/// The present moment, as the shell knows it when it hands in an input.
///
/// Behaviour depends on `monotonic` only; `unix_s` serves nonces and records.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Never steps back; every timer is measured by it.
    pub monotonic: Instant,
    /// Seconds since 1970-01-01 UTC.
    pub unix_s: u64,
}

/// The two halves of a call as the gateway sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// The half that sent us the INVITE.
    Caller,
    /// The half that we invite.
    Callee,
}

impl Leg {
    /// The opposite half.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    /// `caller` or `callee`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }
}

/// A profile's number in the store; below zero a business account's phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileId(pub i64);

impl ProfileId {
    /// The phone that a business account signs in with while no profile has it, by the account's number in the store.
    /// To the core it is a profile like others that registers and is called; it makes no calls and has no channels.
    pub fn of_phone(account: i64) -> Self {
        Self(-account)
    }

    /// The one behind it in their order.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// Whether it is a business account's phone.
    pub fn is_phone(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for ProfileId {
    /// As logs show it: `7`, or `phone of account 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_phone() {
            true => write!(f, "phone of account {}", -self.0),
            false => self.0.fmt(f),
        }
    }
}

/// A company's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CompanyId(pub i64);

/// A carrier's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierId(pub i64);

/// One profile's share of one call: the channel it occupies and the money it may use.
///
/// A call between two profiles here has two leases, one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The call.
    pub call: CallUid,
    /// The half that belongs to the profile.
    pub leg: Leg,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.leg.as_str())
    }
}

/// What a lease is for; decides what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// From the PBX to the telephone network.
    Outgoing {
        /// The called number: E.164 digits without `+`.
        number: String,
    },
    /// From the PBX to an Online Number hosted here.
    OnNet {
        /// The called number: E.164 digits without `+`.
        number: String,
    },
    /// From the network, or from another profile, to the PBX.
    Incoming {
        /// The called Online Number (digits) or the business account's name.
        called: String,
    },
    /// From the PBX to the echo test.
    Echo,
}

impl Usage {
    /// `outgoing`, `on_net`, `incoming` or `echo`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Outgoing { .. } => "outgoing",
            Self::OnNet { .. } => "on_net",
            Self::Incoming { .. } => "incoming",
            Self::Echo => "echo",
        }
    }
}

/// What the core asks of its surroundings. Each that names a reply gets exactly one, or its timer ends the wait.
#[derive(Clone, Debug)]
pub enum Question {
    /// May this profile make this call? Answered by [`Reply::Reserved`].
    Reserve {
        /// The share asked for.
        lease: Lease,
        /// Who pays and whose channel it is.
        profile: ProfileId,
        /// What for.
        usage: Usage,
        /// [`CallRecord::from`]: kept with the reservation, so that it is known after a crash.
        from: String,
        /// [`CallRecord::is_withheld`].
        is_withheld: bool,
        /// [`CallRecord::to`].
        to: String,
    },
    /// The callee has answered: from now on the call is charged. No reply.
    Answer {
        /// The share.
        lease: Lease,
        /// When it was answered: a moment ago, if a sign of the caller had to be waited for.
        at: Instant,
        /// The record as far as it is known: kept with the reservation, so that it is known after a crash.
        known: Box<CallRecord>,
    },
    /// May the call go on beyond what is paid? Answered by [`Reply::Extended`].
    Extend {
        /// The share.
        lease: Lease,
        /// Talked so far, since the answer.
        elapsed: Duration,
    },
    /// The call attempt is over: charge it, free its channel, write its record. Exactly once for each lease and
    /// for each attempt refused before it had one. No reply.
    Settle(Box<CallRecord>),
    /// Describe our media towards the other half. Answered by [`Reply::Media`].
    Media {
        /// The call.
        call: CallUid,
        /// Whose description `remote` is.
        from: Leg,
        /// Offer or answer.
        role: SdpRole,
        /// What that half said.
        remote: RemoteMedia,
        /// How the other half's media is to be protected, if an offer goes to it.
        secure: SecureMedia,
        /// The half that `remote` describes.
        speaker: Speaker,
        /// The signalling address of the half that will be told: chooses our address and its family.
        toward: IpAddr,
    },
    /// Open the echo endpoint for the caller. Answered by [`Reply::Media`].
    EchoMedia {
        /// The call.
        call: CallUid,
        /// The caller's offer.
        remote: RemoteMedia,
        /// The caller.
        speaker: Speaker,
    },
    /// Open the echo endpoint for a caller that made no offer, and make one. Answered by [`Reply::Media`].
    EchoOffer {
        /// The call.
        call: CallUid,
        /// How its media is to be protected.
        secure: SecureMedia,
        /// The caller's signalling address.
        toward: IpAddr,
    },
    /// The caller has answered the echo endpoint's offer. Answered by [`Reply::Media`].
    EchoAnswer {
        /// The call.
        call: CallUid,
        /// What the caller said.
        remote: RemoteMedia,
        /// The caller.
        speaker: Speaker,
    },
    /// Answer one half's new offer for the other, whose own word stands. Answered by [`Reply::Media`].
    AnswerMedia {
        /// The call.
        call: CallUid,
        /// Whose offer it is.
        from: Leg,
        /// The new offer.
        remote: RemoteMedia,
        /// That half.
        speaker: Speaker,
    },
    /// The call is answered: from now on it ends when its media falls silent. No reply.
    WatchMedia {
        /// The call.
        call: CallUid,
    },
    /// The offer made last was refused: return to the media as agreed before. No reply.
    RollbackMedia {
        /// The call.
        call: CallUid,
    },
    /// The call is over: free the ports. Asked right before the call's [`Question::Settle`], whose records may tell
    /// what was counted. No reply.
    CloseMedia {
        /// The call.
        call: CallUid,
    },
    /// Find the addresses of a host (RFC 3263). Answered by [`Reply::Resolved`].
    Resolve {
        /// The call that waits.
        call: CallUid,
        /// A domain name.
        host: String,
        /// The port, if one is configured; without one SRV records decide.
        port: Option<u16>,
        /// The transport configured.
        transport: Transport,
    },
}

/// The answers to questions.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Question::Reserve`].
    Reserved {
        /// The share.
        lease: Lease,
        /// Granted, or why not.
        result: Result<Grant, Refusal>,
    },
    /// To [`Question::Extend`].
    Extended {
        /// The share.
        lease: Lease,
        /// Granted, or why not: then the call ends when what is paid ends.
        result: Result<Grant, Refusal>,
    },
    /// To every question about media that names a reply.
    Media {
        /// The call.
        call: CallUid,
        /// What to write into the description for the half that is told.
        result: Result<LocalMedia, Refusal>,
    },
    /// To [`Question::Resolve`]: the addresses in the order to try, at best first; empty if there are none.
    Resolved {
        /// The call.
        call: CallUid,
        /// Addresses.
        addresses: Vec<SocketAddr>,
    },
}

/// What has been paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Talking time paid so far, counted from the answer; `None` if the call costs nothing.
    pub paid: Option<Duration>,
}

/// Why a call ended that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// One half hung up.
    HungUp(Leg),
    /// The caller gave up before the answer.
    Cancelled,
    /// Refused, failed or cut by us or by the callee's side.
    Refused(Refusal),
}

/// Everything that a call detail record needs from the core.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// The share that is settled.
    pub lease: Lease,
    /// Whose record it is; `None` if the attempt could not be told to belong to any profile.
    pub profile: Option<ProfileId>,
    /// The company whose business account's phone this half of the call is; no profile's then.
    pub phone_of: Option<CompanyId>,
    /// What the lease was for; `None` if the attempt was refused before that was known.
    pub usage: Option<Usage>,
    /// Whether a reservation was asked for, so that there is something to settle.
    pub reserved: bool,
    /// The carrier that carried or brought the call, or was tried last.
    pub carrier: Option<CarrierLabel>,
    /// The attempts to reach carriers, in order.
    pub attempts: Vec<CarrierAttempt>,
    /// The caller, shown or not: the number in E.164 with `+` where there is one, else a name, or what the INVITE claimed
    /// as it was written.
    pub from: String,
    /// Whether the called side must not learn who called.
    pub is_withheld: bool,
    /// The called number in E.164 with `+` where it could be read, else what was dialled, as it was written.
    pub to: String,
    /// When the INVITE came.
    pub started: Instant,
    /// When the callee answered.
    pub answered: Option<Instant>,
    /// Whether nobody at the caller's address, which may be forged, has shown that it heard the answer: then nothing is
    /// owed.
    pub is_unconfirmed: bool,
    /// When the call ended.
    pub ended: Instant,
    /// Why.
    pub ending: Ending,
    /// The final status sent to the caller, 200 for an answered call.
    pub status: u16,
    /// What the refusal was about, in a sentence of its own.
    pub detail: Option<String>,
    /// The Q.850 cause that went with it, or with the goodbye.
    pub cause: Option<u8>,
    /// The caller's Call-ID.
    pub caller_call_id: String,
    /// The callee's Call-ID, if it was invited.
    pub callee_call_id: Option<String>,
    /// The caller's User-Agent.
    pub user_agent: Option<String>,
    /// The codecs that were agreed, such as `PCMA/8000`.
    pub codecs: Vec<String>,
}

impl CallRecord {
    /// Talking time: from the answer to the end, zero if never answered.
    pub fn duration(&self) -> Duration {
        self.answered.map_or(Duration::ZERO, |at| self.ended.saturating_duration_since(at))
    }
}

/// What happened, for logs, metrics and the store. Nothing waits for an event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A PBX registered or refreshed.
    Registered(Binding),
    /// A registered PBX has shown how it protects its media.
    MediaShown(Binding),
    /// A binding ended.
    Unregistered {
        /// Whose.
        profile: ProfileId,
        /// Why.
        why: Unregistration,
    },
    /// A REGISTER was refused, or another request's credentials were wrong.
    RequestRefused {
        /// REGISTER, INVITE.
        method: String,
        /// The profile, if the user name is known.
        profile: Option<ProfileId>,
        /// The user name tried.
        user: String,
        /// Who tried.
        source: SocketAddr,
        /// Why.
        refusal: Refusal,
        /// What exactly is wrong, if the reason does not say it.
        detail: Option<&'static str>,
    },
    /// A profile's call was refused because it, or its company, has begun too many this second.
    CallTooFast {
        /// The profile.
        profile: ProfileId,
        /// Who sent it.
        source: SocketAddr,
        /// Whose limit it is.
        why: Refusal,
        /// For a call that leaves a record: how many have left none since the last one that did.
        unrecorded: Option<u64>,
    },
    /// A profile has proved its password at an address where it had not done so today, or that it claims in vain so far.
    PasswordProved {
        /// The profile.
        profile: ProfileId,
        /// The address.
        address: IpAddr,
        /// Over which transport.
        transport: Transport,
    },
    /// A call came from where a peer is known without a password, but something speaks for another: it has to prove one.
    OwnerDoubted {
        /// The profile that is known there; `None` is a carrier.
        known: Option<ProfileId>,
        /// Who sent it.
        source: SocketAddr,
        /// What speaks for another.
        doubt: Doubt,
    },
    /// Why a carrier ends or refuses a call, in its own words. Customers are not told them: they could name the carrier.
    CarrierReason {
        /// The call.
        call: CallUid,
        /// The carrier.
        carrier: CarrierId,
        /// The value of its Reason field.
        said: String,
    },
    /// A source has guessed too many passwords.
    SourceBanned {
        /// An IPv4 address, or the first address of an IPv6 /64.
        source: IpAddr,
        /// The user name tried last.
        user: String,
        /// How long nothing is heard from it.
        lasts: Duration,
    },
    /// Too many passwords were guessed for one user name.
    UserGuarded {
        /// The user name.
        user: String,
        /// How long it is heard only from where its password was proved before.
        lasts: Duration,
    },
    /// A call attempt was seen.
    CallStarted {
        /// The call.
        call: CallUid,
        /// From whom.
        source: SocketAddr,
        /// Caller as claimed.
        from: String,
        /// Called as dialled.
        to: String,
    },
    /// The callee rings (the first 18x).
    Ringing {
        /// The call.
        call: CallUid,
        /// Since the INVITE came.
        after: Duration,
    },
    /// The callee answered.
    Answered {
        /// The call.
        call: CallUid,
        /// Since the INVITE came.
        after: Duration,
    },
    /// A call was answered, and nobody at the caller's address, which may be forged, has shown that it heard.
    AnswerUnconfirmed {
        /// The call.
        call: CallUid,
        /// The profile that is known at that address; `None` is a carrier's.
        profile: Option<ProfileId>,
        /// The address.
        source: SocketAddr,
    },
    /// The INVITE was sent to a target; shows the Request-URI as sent.
    Invited {
        /// The call.
        call: CallUid,
        /// The Request-URI.
        request_uri: String,
        /// Where to.
        target: SocketAddr,
        /// The carrier, unless the target is a PBX.
        carrier: Option<CarrierLabel>,
    },
    /// A carrier that is down was passed over.
    CarrierPassedOver {
        /// The call.
        call: CallUid,
        /// The carrier.
        carrier: CarrierLabel,
    },
    /// An attempt to reach a carrier is over.
    CarrierTried {
        /// The call.
        call: CallUid,
        /// What became of it.
        attempt: CarrierAttempt,
    },
    /// Calls are no longer sent to an address of a carrier.
    CarrierDown {
        /// The carrier.
        carrier: CarrierLabel,
        /// The address; `None` if its name leads to none.
        address: Option<SocketAddr>,
        /// Why.
        why: Trouble,
        /// How long it is left alone, before a call tries it.
        pause: Duration,
    },
    /// Calls are sent to an address of a carrier again.
    CarrierUp {
        /// The carrier.
        carrier: CarrierLabel,
        /// The address.
        address: Option<SocketAddr>,
        /// How long they were not.
        after: Duration,
    },
    /// More comes in than can be handled, or no longer.
    LoadChanged(Load),
    /// A new call was refused because of the load, before anything of it was looked at.
    Shed {
        /// Who called.
        source: SocketAddr,
    },
    /// The call is over (its records go with [`Question::Settle`]).
    Ended {
        /// The call.
        call: CallUid,
        /// Why.
        ending: Ending,
        /// The final status.
        status: u16,
        /// [`CallRecord::detail`].
        detail: Option<String>,
    },
    /// A request on a connection was believed, by its password, its address or the certificate shown: the first one.
    ConnectionProved(ConnectionId),
    /// The connection that a PBX registered over has ended. No NAT stands before it, so calls connect to its Contact.
    ConnectionEnded {
        /// Whose.
        profile: ProfileId,
        /// Where it listens.
        contact: SocketAddr,
    },
    /// A message was dropped without an answer.
    Dropped {
        /// From whom.
        source: SocketAddr,
        /// Why.
        why: &'static str,
        /// Whether somebody we know has sent a faulty message: then it is worth a line.
        is_of_note: bool,
    },
}

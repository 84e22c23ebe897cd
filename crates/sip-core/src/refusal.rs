//! Why a call or a registration is refused: one table from reason to status, cause, code and sentence.
//!
//! The same row serves the SIP response, the log and the CDR, so a customer who reads one of them to another speaks
//! of the same thing.

use crate::auth::digest::DigestError;
use crate::message::Fault;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    /// The SIP status.
    pub status: u16,
    /// The Q.850 cause of the Reason header field (RFC 3326).
    pub cause: u8,
    /// Our own code: stable, for machines.
    pub code: &'static str,
    /// One plain sentence, for people.
    pub sentence: &'static str,
}

/// Makes the enum, the list of its members and the row of each from one entry a reason.
macro_rules! refusals {
    ($($name:ident = $status:literal, $cause:literal, $code:literal, $sentence:literal;)*) => {
        /// A reason to refuse a request or to end a call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal {
            $(#[doc = $sentence] $name,)*
        }

        impl Refusal {
            /// Every reason, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The row of the table.
            pub const fn row(self) -> RefusalRow {
                match self {
                    $(Self::$name => RefusalRow {
                        status: $status,
                        cause: $cause,
                        code: $code,
                        sentence: $sentence,
                    },)*
                }
            }
        }
    };
}

// The table, in alphabetical order: the SIP status, the Q.850 cause, the code, the sentence.
refusals! {
    AccountAttached = 503, 21, "account_attached",
        "This business account belongs to a SIP profile and cannot sign in: take it off the profile first.";
    AddressFamilyChanged = 488, 88, "address_family_changed",
        "The session description moves media between IPv4 and IPv6, which is not possible within a call.";
    AddressFamilyUnsupported = 488, 88, "address_family_unsupported",
        "The session description asks for IPv4 or IPv6 media, and the gateway has no media address of that kind.";
    AddressIncomplete = 484, 28, "address_incomplete",
        "The called number cannot be read as a telephone number.";
    AddressNotAllowed = 403, 21, "address_not_allowed",
        "The password is right, but the profile is known by its IP addresses, and this is none of them.";
    AddressOfAnother = 404, 1, "address_of_another",
        "The REGISTER's To is neither the SIP user whose password was proved nor one of its profile's numbers.";
    AnswerMissing = 502, 111, "answer_missing",
        "The called side answered without a session description.";
    AnswerUnconfirmed = 408, 102, "answer_unconfirmed",
        "Nobody at the caller's address showed that it heard the answer, so the call was ended and is not charged.";
    AnswerUnreadable = 502, 111, "answer_unreadable",
        "The called side answered with something that is neither a refusal nor an acceptance.";
    AnswerUnusable = 502, 111, "answer_unusable",
        "The called side answered with a session description that cannot be used.";
    AnswerWithoutOffer = 500, 101, "answer_without_offer",
        "The session description answers nothing that was offered.";
    BadContact = 400, 95, "bad_contact",
        "None of the REGISTER's Contacts is a SIP or SIPS URI that can be called.";
    BadCredentials = 403, 21, "bad_credentials",
        "The user name or the password is wrong.";
    BadPath = 400, 95, "bad_path",
        "The REGISTER's Path names a proxy by something that is not a SIP or SIPS URI.";
    BadRequest = 400, 95, "bad_request",
        "The request is malformed.";
    BodyNotUnderstood = 415, 79, "body_not_understood",
        "The message's body is of a kind that the gateway does not read.";
    BodyTooLong = 413, 127, "message_too_large",
        "The request's body is longer than the gateway reads.";
    CallForgotten = 481, 41, "call_forgotten",
        "One side no longer knows the call, so the call was ended.";
    CallOver = 487, 16, "call_over",
        "The call ended before the request was answered.";
    CalledProfileInactive = 480, 20, "called_profile_inactive",
        "The called number's profile has no running channel subscription.";
    CalledSuspended = 480, 20, "called_suspended",
        "The called number's profile or company is suspended.";
    CalleeAmbiguous = 480, 1, "callee_ambiguous",
        "The called side says that the number means several parties.";
    CalleeBusy = 486, 17, "callee_busy",
        "The called party is busy.";
    CalleeDeclined = 603, 21, "callee_declined",
        "The called party declined the call.";
    CalleeFailed = 480, 31, "callee_failed",
        "The called party could not take the call.";
    CalleeForbids = 480, 21, "callee_forbids",
        "The called side does not allow the call.";
    CalleeIncomplete = 484, 28, "callee_incomplete",
        "The called side says that the number is incomplete.";
    CalleeLacksExtension = 480, 79, "callee_lacks_extension",
        "The called side does not support an extension of SIP that the call requires.";
    CalleeLoop = 480, 25, "callee_loop",
        "The call went in a circle behind the called side.";
    CalleeMoved = 410, 22, "callee_moved",
        "The called side says that the number is no longer in use.";
    CalleeNeedsExtension = 480, 79, "callee_needs_extension",
        "The called side requires an extension of SIP that the call does not have.";
    CalleeRedirected = 480, 23, "callee_redirected",
        "The called side redirected the call, and the gateway follows no redirection.";
    CalleeUnavailable = 480, 20, "callee_unavailable",
        "The called party cannot be reached at the moment.";
    CalleeUnknown = 404, 1, "callee_unknown",
        "The called side says that there is no such number.";
    CalleeWantsCaller = 433, 21, "callee_wants_caller",
        "The called side takes no calls whose caller is withheld.";
    CallerGone = 481, 16, "caller_gone",
        "The caller's connection was lost.";
    Cancelled = 487, 16, "cancelled",
        "The caller gave up before the answer.";
    CarrierAuthentication = 500, 38, "carrier_authentication",
        "The carrier did not accept the gateway's credentials.";
    CarrierRegisters = 404, 1, "carrier_registers",
        "The credentials are a carrier's, and carriers do not register here.";
    CarriersFailed = 503, 38, "carriers_failed",
        "No carrier could complete the call.";
    CompanyCreditExhausted = 402, 16, "company_credit_exhausted",
        "The bundle minutes and the company's credit ran out, so the call was ended.";
    CompanySuspended = 403, 21, "company_suspended",
        "The profile's company is suspended by the operator, and makes and takes no calls until it is resumed.";
    CompanyTooFast = 503, 42, "company_too_fast",
        "The company's profiles have begun more calls a second than the company's limit allows.";
    ConnectionLost = 408, 27, "connection_lost",
        "The connection to one side was lost and did not come back, so the call was ended.";
    CountryBusy = 403, 21, "country_busy",
        "As many calls as the profile's spend guard allows go to this country already.";
    CountryDenied = 403, 21, "country_denied",
        "The profile's spend guard does not allow calls to this country.";
    CredentialsAlgorithm = 401, 21, "credentials_algorithm",
        "The credentials use a digest algorithm that was not offered.";
    CredentialsIncomplete = 401, 21, "credentials_incomplete",
        "The credentials lack a parameter that the digest needs, such as nc or cnonce.";
    CredentialsProtection = 401, 21, "credentials_protection",
        "The credentials use a quality of protection that was not offered, such as auth-int.";
    CredentialsRealm = 401, 21, "credentials_realm",
        "The credentials are for another realm than the gateway's.";
    CredentialsScheme = 401, 21, "credentials_scheme",
        "The credentials are not of the Digest scheme.";
    CredentialsStale = 401, 21, "credentials_stale",
        "The credentials answer an old challenge, or one that was made to another address, time and again.";
    CredentialsUnreadable = 401, 21, "credentials_unreadable",
        "The credentials cannot be read.";
    CreditExhausted = 402, 16, "credit_exhausted",
        "The profile's credit ran out, so the call was ended.";
    CryptoNotOffered = 488, 88, "crypto_not_offered",
        "The session description answers with an SRTP suite that was not offered.";
    CryptoUnusable = 488, 88, "crypto_unusable",
        "The session description's SRTP keys are damaged, or of suites that the gateway does not have.";
    DescriptionNotUnicast = 488, 88, "description_not_unicast",
        "The session description names a multicast or broadcast address for its audio.";
    DescriptionTooLong = 488, 88, "description_too_long",
        "The session description has more lines than the gateway reads.";
    DescriptionUnreadable = 488, 88, "description_unreadable",
        "The message's body says that it is a session description, and is none.";
    DescriptionWithoutAddress = 488, 88, "description_without_address",
        "The session description has no address for its audio.";
    DescriptionWithoutPort = 488, 88, "description_without_port",
        "The session description's audio has no port from 0 to 65535.";
    Emergency = 403, 21, "emergency",
        "Emergency calls are not carried here: use another telephone service to reach help.";
    EncodingNotUnderstood = 415, 79, "encoding_not_understood",
        "The message's body is encoded in a way that the gateway does not read.";
    EndedByOperator = 480, 16, "ended_by_operator",
        "The operator ended the call.";
    ExtensionUnsupported = 420, 79, "extension_unsupported",
        "The request requires an extension that the gateway does not have.";
    ForwardedInCircle = 482, 25, "forwarded_in_circle",
        "The call has been forwarded in a circle: it comes back to a number that it was called with before.";
    HeaderTooLong = 513, 127, "header_too_long",
        "The request has more or longer header fields than the gateway reads.";
    HungUpUnanswered = 480, 31, "hung_up_unanswered",
        "The called party hung up, and its answer never arrived.";
    InternalFault = 500, 41, "internal_fault",
        "The gateway could not handle the request.";
    IntervalTooBrief = 423, 31, "interval_too_brief",
        "The registration interval asked for is too short.";
    InvitationExpired = 487, 102, "invitation_expired",
        "The time that the caller's INVITE allows ran out before the call was answered.";
    KnownByAddress = 503, 21, "known_by_address",
        "The password is right, but the profile is known by its IP address and does not register.";
    LongestCall = 403, 16, "longest_call",
        "The call lasted as long as the profile's spend guard allows, so it was ended.";
    LoopDetected = 483, 25, "loop_detected",
        "The call has passed too many hops.";
    MediaOff = 488, 88, "media_off",
        "Every stream of the session description is off, so there is nothing to talk over.";
    MediaOutOfStep = 500, 41, "media_out_of_step",
        "The gateway's media relay does not know the call.";
    MediaOverloaded = 503, 42, "media_overloaded",
        "The gateway's media relay is too busy at the moment.";
    MediaRefused = 488, 88, "media_refused",
        "The called party cannot take this kind of media.";
    MediaSilent = 408, 102, "media_silent",
        "No media arrived for too long, so the call was ended.";
    MediaStopped = 503, 41, "media_stopped",
        "The gateway's media relay has stopped.";
    MediaUnavailable = 503, 34, "media_unavailable",
        "The gateway has no free media port.";
    MediaWithoutSocket = 503, 34, "media_without_socket",
        "The system gave the gateway no socket for the call's media.";
    MethodNotAllowed = 405, 79, "method_not_allowed",
        "The gateway does not serve this method.";
    NoAck = 408, 102, "no_ack",
        "The caller never confirmed the answer, so the call was ended.";
    NoAddressToCall = 480, 20, "no_address_to_call",
        "The called profile has no single address to call, and no open connection with its certificate.";
    NoAnswer = 480, 19, "no_answer",
        "The called party did not answer in time.";
    NoCarrier = 503, 3, "no_carrier",
        "No carrier is set up for this destination.";
    NoChannel = 503, 34, "no_channel",
        "All channels of the profile are in use.";
    NoChannelIncoming = 486, 17, "no_channel_incoming",
        "All channels of the called profile are in use.";
    NoCompanyCredit = 402, 21, "no_company_credit",
        "The bundle minutes are used up, and the company's credit does not pay for this call.";
    NoCredit = 402, 21, "no_credit",
        "The profile's credit does not pay for this call.";
    NoLateAnswer = 400, 111, "no_late_answer",
        "The confirmation has no usable answer to the offer that was made.";
    NoMediaInCommon = 488, 88, "no_media_in_common",
        "The session description offers no media that can be carried.";
    NoPrack = 504, 102, "no_prack",
        "The caller never confirmed a provisional response, so the call was given up.";
    NoRate = 404, 3, "no_rate",
        "The rate table has no price for this destination.";
    NoSuchDialog = 481, 16, "no_such_dialog",
        "There is no such call or transaction.";
    NotAnsweredYet = 491, 101, "not_answered_yet",
        "The other side has not answered the call yet, so the request was not passed on.";
    NotRegistered = 480, 20, "not_registered",
        "The called PBX is not registered.";
    NothingOnHand = 503, 41, "nothing_on_hand",
        "The gateway's accounting does not answer, and what was on hand for the profile is used up.";
    NumberNotAssigned = 404, 1, "number_not_assigned",
        "The called number is not assigned to any profile.";
    OtherSideLost = 504, 27, "other_side_lost",
        "The connection to the other side is lost at the moment; the call goes on as it was.";
    OtherSideNeedsExtension = 500, 79, "other_side_needs_extension",
        "The other side requires an extension of SIP for this request; the call goes on as it was.";
    OtherSideRedirects = 500, 23, "other_side_redirects",
        "The other side answered with a redirection, and the gateway follows none; the call goes on as it was.";
    OtherSideRefuses = 500, 31, "other_side_refuses",
        "The other side refused the request for a cause that concerns it alone; the call goes on as it was.";
    OtherSideSlow = 504, 102, "other_side_slow",
        "The other side did not answer the request in time; the call goes on as it was.";
    Overloaded = 503, 42, "overloaded",
        "The gateway is too busy at the moment.";
    PathTooLong = 513, 127, "path_too_long",
        "The REGISTER's Path names more proxies, or by longer URIs, than the gateway keeps.";
    PbxDemandsCredentials = 480, 21, "pbx_demands_credentials",
        "The called PBX demands credentials: let it accept calls from the gateway's address.";
    PbxFailed = 500, 38, "pbx_failed",
        "The called PBX could not handle the call.";
    PbxUnreachable = 480, 27, "pbx_unreachable",
        "The called PBX cannot be reached: its address refuses what is sent to it, or no connection can be opened.";
    PhoneCannotCall = 403, 21, "phone_cannot_call",
        "A business account's phone can be called; only a SIP profile makes calls.";
    PremiumDenied = 403, 21, "premium_denied",
        "The number is in a premium range, and the profile's spend guard does not allow calls to premium numbers.";
    PriceTooHigh = 403, 21, "price_too_high",
        "A minute of this call costs more than the profile's spend guard allows.";
    ProfileDeleted = 480, 31, "profile_deleted",
        "The profile was deleted, so the call was ended.";
    ProfileInactive = 403, 21, "profile_inactive",
        "The profile has no running channel subscription.";
    ProfileSuspended = 403, 21, "profile_suspended",
        "The profile is suspended by the operator, and makes and takes no calls until it is resumed.";
    ProfileTooFast = 503, 42, "profile_too_fast",
        "The profile has begun more calls a second than its limit allows.";
    RequestOutOfOrder = 500, 101, "request_out_of_order",
        "The request is older than one that came before it.";
    RequestPending = 491, 101, "request_pending",
        "Another request of the same kind is still under way.";
    RequestWithdrawn = 487, 16, "request_withdrawn",
        "The request was taken back before it was answered.";
    SchemeUnsupported = 416, 127, "scheme_unsupported",
        "The Request-URI has a scheme that the gateway does not serve here.";
    SecureMediaForbidden = 488, 88, "secure_media_forbidden",
        "This profile must not use SRTP, and the description offers nothing else.";
    SecureMediaRequired = 488, 88, "secure_media_required",
        "This profile must use SRTP, and the description offers none.";
    SecureMediaWithoutKey = 488, 88, "secure_media_without_key",
        "The session description asks for SRTP and brings no key in an a=crypto line.";
    SessionExpired = 408, 102, "session_expired",
        "One side no longer confirmed that the call lives, so it was ended.";
    SessionIntervalTooSmall = 422, 31, "session_interval_too_small",
        "The session interval asked for is too short.";
    ShuttingDown = 503, 41, "shutting_down",
        "The gateway is shutting down.";
    SideSilent = 408, 102, "side_silent",
        "One side did not answer a request within the call, so the call was ended.";
    SpendCapExhausted = 402, 16, "spend_cap_exhausted",
        "The profile's spend cap for this hour or day was reached, so the call was ended.";
    SpendCapReached = 402, 21, "spend_cap_reached",
        "The profile's spend cap for this hour or day does not leave enough for this call.";
    StoreUnavailable = 503, 41, "store_unavailable",
        "The gateway's accounting does not answer at the moment.";
    TooLong = 403, 16, "too_long",
        "The call lasted as long as the gateway lets any call last.";
    UnknownHost = 404, 3, "unknown_host",
        "The Request-URI names a host that is not this gateway.";
    UnknownPeer = 403, 21, "unknown_peer",
        "The gateway does not know who is calling from this address.";
    UnknownUser = 403, 21, "unknown_user",
        "The user name or the password is wrong.";
    UriTooLong = 414, 127, "uri_too_long",
        "The Request-URI is longer than the gateway reads.";
    VersionUnsupported = 505, 127, "version_unsupported",
        "The request's version of SIP is not 2.0.";
}

impl Refusal {
    /// Whether the gateway itself is the obstacle, and soon may be none: the answer says when to try again.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::MediaOverloaded
                | Self::MediaUnavailable
                | Self::MediaWithoutSocket
                | Self::NothingOnHand
                | Self::Overloaded
                | Self::ShuttingDown
                | Self::StoreUnavailable
        )
    }

    /// Seconds after which to try again. What an operator has to set right first takes longer, but a PBX must not give up
    /// for good.
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::AccountAttached | Self::KnownByAddress => Some(300),
            // Their limit is one of calls a second.
            Self::CompanyTooFast | Self::ProfileTooFast => Some(1),
            _ if self.is_passing() => Some(5),
            _ => None,
        }
    }

    /// What keeps credentials from ever being right.
    pub const fn of_credentials(error: DigestError) -> Self {
        match error {
            DigestError::Algorithm => Self::CredentialsAlgorithm,
            DigestError::Missing(_) => Self::CredentialsIncomplete,
            DigestError::NonceCount | DigestError::Quoting => Self::CredentialsUnreadable,
            DigestError::Qop => Self::CredentialsProtection,
            DigestError::Scheme => Self::CredentialsScheme,
        }
    }

    /// The row of a request that cannot be served as it is written.
    pub const fn of(fault: Fault) -> Self {
        match fault {
            Fault::BodyTooLong => Self::BodyTooLong,
            Fault::TooManyHeaders | Fault::ValueTooLong(_) => Self::HeaderTooLong,
            Fault::UriScheme => Self::SchemeUnsupported,
            Fault::UriTooLong => Self::UriTooLong,
            Fault::Version => Self::VersionUnsupported,
            Fault::BodyShort
            | Fault::ContactScheme
            | Fault::ContentLength
            | Fault::CseqMethod
            | Fault::Duplicate(_)
            | Fault::HeadUnfinished
            | Fault::Malformed(_)
            | Fault::Missing(_)
            | Fault::Star
            | Fault::StartLine
            | Fault::StatusLine
            | Fault::Uri => Self::BadRequest,
        }
    }

    /// The SIP status.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The code for machines.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The sentence for people.
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// Finds a reason by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_lead_back() {
        let codes: HashSet<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        for &reason in Refusal::ALL {
            assert_eq!(Refusal::from_code(reason.code()), Some(reason));
        }
    }

    #[test]
    fn a_limit_of_calls_a_second_lets_the_next_one_in_after_a_second() {
        for reason in [Refusal::ProfileTooFast, Refusal::CompanyTooFast] {
            assert_eq!((reason.status(), reason.retry_after_s()), (503, Some(1)));
        }
    }

    #[test]
    fn every_row_is_a_refusal_with_one_sentence() {
        for &reason in Refusal::ALL {
            let row = reason.row();
            assert!((400..700).contains(&row.status), "{reason:?}");
            assert!(row.cause < 128, "{reason:?}");
            assert!(row.sentence.ends_with('.'), "{reason:?}");
            assert!(!row.sentence.contains('"'), "{reason:?} must fit a quoted string");
        }
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused_with_its_status() {
        use crate::message::Name;
        for (fault, status) in [
            (Fault::Missing(Name::CallId), 400),
            (Fault::BodyTooLong, 413),
            (Fault::UriTooLong, 414),
            (Fault::UriScheme, 416),
            (Fault::Version, 505),
            (Fault::TooManyHeaders, 513),
            (Fault::ValueTooLong(Name::Other), 513),
        ] {
            assert_eq!(Refusal::of(fault).status(), status, "{fault}");
        }
    }

    #[test]
    fn unknown_user_and_wrong_password_are_told_apart_only_inside() {
        let (user, password) = (Refusal::UnknownUser.row(), Refusal::BadCredentials.row());
        assert_eq!((user.status, user.sentence), (password.status, password.sentence));
    }
}

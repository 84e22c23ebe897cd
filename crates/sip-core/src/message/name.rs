//! The header field names we know, found by length and letters without allocating.

use std::fmt;

macro_rules! names {
    ($($variant:ident = $text:literal,)*) => {
        /// A header field name. Compact forms (RFC 3261 7.3.3) are read as the long ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = $text] $variant,)*
            /// A field we have no name for; its received name is kept beside it in the message.
            Other,
        }

        pub(super) const KNOWN: &[(Name, &str)] = &[$((Name::$variant, $text),)*];

        impl Name {
            /// The canonical spelling; empty for `Other`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }
        }
    };
}

names! {
    Accept = "Accept",
    AcceptContact = "Accept-Contact",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AllowEvents = "Allow-Events",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CallId = "Call-ID",
    CallInfo = "Call-Info",
    Contact = "Contact",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    CSeq = "CSeq",
    Date = "Date",
    Diversion = "Diversion",
    ErrorInfo = "Error-Info",
    Event = "Event",
    Expires = "Expires",
    From = "From",
    HistoryInfo = "History-Info",
    Identity = "Identity",
    IdentityInfo = "Identity-Info",
    InReplyTo = "In-Reply-To",
    MaxForwards = "Max-Forwards",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    MinSe = "Min-SE",
    Organization = "Organization",
    PAccessNetworkInfo = "P-Access-Network-Info",
    PAssertedIdentity = "P-Asserted-Identity",
    PAssociatedUri = "P-Associated-URI",
    PCalledPartyId = "P-Called-Party-ID",
    PChargingVector = "P-Charging-Vector",
    PEarlyMedia = "P-Early-Media",
    PPreferredIdentity = "P-Preferred-Identity",
    Path = "Path",
    Priority = "Priority",
    Privacy = "Privacy",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RAck = "RAck",
    RSeq = "RSeq",
    Reason = "Reason",
    RecordRoute = "Record-Route",
    RecvInfo = "Recv-Info",
    ReferTo = "Refer-To",
    ReferredBy = "Referred-By",
    RejectContact = "Reject-Contact",
    RemotePartyId = "Remote-Party-ID",
    Replaces = "Replaces",
    ReplyTo = "Reply-To",
    RequestDisposition = "Request-Disposition",
    Require = "Require",
    RetryAfter = "Retry-After",
    Route = "Route",
    Server = "Server",
    ServiceRoute = "Service-Route",
    SessionExpires = "Session-Expires",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Supported = "Supported",
    Timestamp = "Timestamp",
    To = "To",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    UserToUser = "User-to-User",
    Via = "Via",
    Trail = "X-Sipgw-Trail",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

/// Longer names are always `Other`.
const LONGEST: usize = 24;
/// No length is shared by more known names than this; `index` would not compile otherwise.
const PER_LENGTH: usize = 12;
const NONE: u8 = u8::MAX;
static BY_LENGTH: [[u8; PER_LENGTH]; LONGEST] = index();

/// For each length, the places in `KNOWN` of the names that long.
const fn index() -> [[u8; PER_LENGTH]; LONGEST] {
    let mut table = [[NONE; PER_LENGTH]; LONGEST];
    let mut at = 0;
    while at < KNOWN.len() {
        let row = KNOWN[at].1.len();
        let mut column = 0;
        while table[row][column] != NONE {
            column += 1;
        }
        table[row][column] = at as u8;
        at += 1;
    }
    table
}

impl Name {
    /// How many names there are, `Other` among them: `name as usize` is below it.
    pub(super) const COUNT: usize = KNOWN.len() + 1;

    /// The name that a header line begins with, in any case, long or compact.
    pub fn parse(text: &[u8]) -> Self {
        if let [letter] = text {
            return Self::compact(*letter);
        }
        let Some(row) = BY_LENGTH.get(text.len()) else { return Self::Other };
        row.iter()
            .take_while(|&&at| at != NONE)
            .map(|&at| KNOWN[usize::from(at)])
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(text))
            .map_or(Self::Other, |(name, _)| name)
    }

    /// The compact forms of the IANA registry of SIP header fields.
    fn compact(letter: u8) -> Self {
        match letter.to_ascii_lowercase() {
            b'a' => Self::AcceptContact,
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'd' => Self::RequestDisposition,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'j' => Self::RejectContact,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'n' => Self::IdentityInfo,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            b'y' => Self::Identity,
            _ => Self::Other,
        }
    }

    /// Whether a field of this name is a comma-separated list (RFC 3261 7.3.1), which the lexer
    /// splits into one value per element. Credentials and dates have commas that separate nothing.
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Accept
                | Self::AcceptContact
                | Self::AcceptEncoding
                | Self::AcceptLanguage
                | Self::AlertInfo
                | Self::Allow
                | Self::AllowEvents
                | Self::CallInfo
                | Self::Contact
                | Self::ContentEncoding
                | Self::ContentLanguage
                | Self::Diversion
                | Self::ErrorInfo
                | Self::HistoryInfo
                | Self::InReplyTo
                | Self::PAccessNetworkInfo
                | Self::PAssertedIdentity
                | Self::PAssociatedUri
                | Self::PPreferredIdentity
                | Self::Path
                | Self::ProxyRequire
                | Self::Reason
                | Self::RecordRoute
                | Self::RecvInfo
                | Self::RejectContact
                | Self::RemotePartyId
                | Self::RequestDisposition
                | Self::Require
                | Self::Route
                | Self::ServiceRoute
                | Self::Supported
                | Self::Unsupported
                | Self::Via
                | Self::Warning
        )
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for &(name, text) in KNOWN {
            assert_eq!(Name::parse(text.as_bytes()), name);
            assert_eq!(Name::parse(text.to_ascii_uppercase().as_bytes()), name);
            assert_eq!(name.as_str(), text);
            assert!((name as usize) < Name::Other as usize);
        }
    }

    #[test]
    fn compact_forms_are_the_long_names() {
        for (letter, name) in
            [("v", Name::Via), ("F", Name::From), ("m", Name::Contact), ("l", Name::ContentLength)]
        {
            assert_eq!(Name::parse(letter.as_bytes()), name);
        }
    }

    #[test]
    fn anything_else_is_other() {
        assert_eq!(Name::Other as usize + 1, Name::COUNT);
        for text in ["", "q", "Vi", "X-Vendor", "a-name-much-longer-than-any-that-we-know-of"] {
            assert_eq!(Name::parse(text.as_bytes()), Name::Other);
        }
    }
}

//! The request methods. Names are case-sensitive (RFC 3261 7.1), so `invite` is not `INVITE`.

use std::fmt;

macro_rules! methods {
    ($($variant:ident = $text:literal, $rfc:literal;)*) => {
        /// A request method. Any token is a method; those we do not know keep their text.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = $rfc] $variant,)*
            /// A method no specification we know of defines, as received.
            Other(Box<str>),
        }

        impl Method {
            /// The method as it stands in a request line.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for Method {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

methods! {
    Ack = "ACK", "RFC 3261.";
    Bye = "BYE", "RFC 3261.";
    Cancel = "CANCEL", "RFC 3261.";
    Info = "INFO", "RFC 6086.";
    Invite = "INVITE", "RFC 3261.";
    Message = "MESSAGE", "RFC 3428.";
    Notify = "NOTIFY", "RFC 6665.";
    Options = "OPTIONS", "RFC 3261.";
    Prack = "PRACK", "RFC 3262.";
    Publish = "PUBLISH", "RFC 3903.";
    Refer = "REFER", "RFC 3515.";
    Register = "REGISTER", "RFC 3261.";
    Subscribe = "SUBSCRIBE", "RFC 6665.";
    Update = "UPDATE", "RFC 3311.";
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive() {
        assert_eq!(Method::from("INVITE"), Method::Invite);
        assert_eq!(Method::from("invite"), Method::Other("invite".into()));
        assert_eq!(Method::from("RE%47IST%45R").as_str(), "RE%47IST%45R");
    }
}

//! HTTP digest as SIP uses it (RFC 3261 22.4, RFC 7616, RFC 8760), both sides of it.

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::message::text;

/// The hash, and whether the session's key is mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`, which is also meant where nothing is said.
    Md5,
    /// `MD5-sess`
    Md5Sess,
    /// `SHA-256`
    Sha256,
    /// `SHA-256-sess`
    Sha256Sess,
}

impl Algorithm {
    /// The registered spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Reads the spelling in any case; `None` for algorithms we do not have.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether the hash is SHA-256: this chooses which stored `ha1` a response is checked against.
    pub fn is_sha256(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha256Sess)
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    /// The hash of the parts with colons between them, in lower-case hex.
    fn hash(self, parts: &[&str]) -> String {
        #[cfg(test)]
        tests::HASHES.set(tests::HASHES.get() + 1);
        if self.is_sha256() { hex_of::<Sha256>(parts) } else { hex_of::<Md5>(parts) }
    }
}

fn hex_of<H: Digest>(parts: &[&str]) -> String {
    let mut hash = H::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part.as_bytes());
    }
    let octets = hash.finalize();
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("four bits are one digit");
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// Why credentials or a challenge are of no use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DigestError {
    /// Another scheme than Digest.
    #[error("the scheme is not Digest")]
    Scheme,
    /// A hash we do not have.
    #[error("the digest algorithm is not known")]
    Algorithm,
    /// The named parameter is missing.
    #[error("the digest has no {0}")]
    Missing(&'static str),
    /// `nc` is not hexadecimal.
    #[error("the nonce count is not hexadecimal")]
    NonceCount,
    /// Quotes do not match, or a value holds what could not be written again.
    #[error("a value of the digest is not quoted as it must be")]
    Quoting,
    /// Another protection than `auth`, which is all we offer and answer.
    #[error("the quality of protection is not auth")]
    Qop,
}

/// What an Authorization or Proxy-Authorization field claims. Values are as sent, without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestResponse<'a> {
    /// The user, perhaps with `@domain`.
    pub username: &'a str,
    /// The realm.
    pub realm: &'a str,
    /// The nonce answered to.
    pub nonce: &'a str,
    /// The URI that was hashed, which need not be the Request-URI to the letter.
    pub uri: &'a str,
    /// The proof, in hex of either case.
    pub response: &'a str,
    /// MD5 when not said.
    pub algorithm: Algorithm,
    /// The client's own nonce.
    pub cnonce: Option<&'a str>,
    /// The nonce count, which is hexadecimal.
    pub nc: Option<u32>,
    /// `auth`, or nothing (RFC 2069).
    pub qop: Option<&'a str>,
    /// Returned as given.
    pub opaque: Option<&'a str>,
    nc_text: &'a str,
}

impl<'a> DigestResponse<'a> {
    /// Reads the value of an Authorization or Proxy-Authorization field.
    pub fn parse(value: &'a str) -> Result<Self, DigestError> {
        let fields = Fields::of(value)?;
        let must = |name| fields.get(name).ok_or(DigestError::Missing(name));
        let qop = fields.get("qop").filter(|qop| !qop.is_empty());
        let nc = fields.get("nc").map(|nc| hex_number(nc).ok_or(DigestError::NonceCount)).transpose()?;
        let cnonce = fields.get("cnonce");
        match qop {
            Some(qop) if !qop.eq_ignore_ascii_case("auth") => return Err(DigestError::Qop),
            Some(_) if nc.is_none() => return Err(DigestError::Missing("nc")),
            Some(_) if cnonce.is_none() => return Err(DigestError::Missing("cnonce")),
            _ => {}
        }
        Ok(Self {
            username: must("username")?,
            realm: must("realm")?,
            nonce: must("nonce")?,
            uri: must("uri")?,
            response: must("response")?,
            algorithm: fields.algorithm()?,
            cnonce,
            nc,
            qop,
            opaque: fields.get("opaque"),
            nc_text: fields.get("nc").unwrap_or(""),
        })
    }

    /// The username without its scheme and its `@domain`, which some PBXs add to it. What is hashed is the whole.
    pub fn user(&self) -> &'a str {
        user_of(self.username)
    }
}

/// A user name without its scheme and its domain.
pub(crate) fn user_of(name: &str) -> &str {
    let is_scheme = |scheme: &&str| scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    let name = match name.split_once(':') {
        Some((scheme, rest)) if is_scheme(&scheme) => rest,
        _ => name,
    };
    // Some escape the sign of their own domain, and add another one.
    let end = [name.find('@'), name.find("%40")].into_iter().flatten().min().unwrap_or(name.len());
    &name[..end]
}

/// One parameter of credentials that cannot be read as a whole.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    Fields::of(value).ok()?.get(name)
}

/// The credentials or challenges that one field's value lists (RFC 7235 section 2.1, 4.1): each begins with the name of
/// its scheme, and its own parameters have commas between them too.
pub fn listed(value: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    let mut starts: SmallVec<[usize; 2]> = SmallVec::new();
    for piece in text::split_outside_quotes(value, b',') {
        if at == 0 || begins_with_scheme(piece) {
            starts.push(at);
        }
        at += piece.len() + 1;
    }
    let ends: SmallVec<[usize; 2]> =
        starts.iter().skip(1).map(|start| start - 1).chain([value.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| value[start..end].trim())
}

/// `Digest realm="x"`, as opposed to `realm = "x"`.
fn begins_with_scheme(piece: &str) -> bool {
    let Some((scheme, rest)) = piece.trim_start().split_once([' ', '\t']) else { return false };
    let rest = rest.trim_start();
    text::is_token(scheme.as_bytes()) && !rest.is_empty() && !rest.starts_with('=')
}

/// The `name=value` pairs after the scheme; credentials have about ten.
struct Fields<'a>(SmallVec<[(&'a str, &'a str); 16]>);

impl<'a> Fields<'a> {
    fn of(value: &'a str) -> Result<Self, DigestError> {
        let is_blank = |char: char| char.is_ascii_whitespace();
        let (scheme, rest) = value.trim().split_once(is_blank).ok_or(DigestError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(DigestError::Scheme);
        }
        Self::pairs(rest)
    }

    fn pairs(mut rest: &'a str) -> Result<Self, DigestError> {
        let mut pairs = SmallVec::new();
        while !rest.is_empty() {
            let end = text::find_outside_quotes(rest, b',').unwrap_or(rest.len());
            if let Some((name, value)) = rest[..end].split_once('=') {
                pairs.push((name.trim(), inside(value.trim()).ok_or(DigestError::Quoting)?));
            }
            rest = rest.get(end + 1..).unwrap_or("");
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn algorithm(&self) -> Result<Algorithm, DigestError> {
        match self.get("algorithm") {
            None => Ok(Algorithm::Md5),
            Some(name) => Algorithm::parse(name).ok_or(DigestError::Algorithm),
        }
    }
}

/// A quoted string's inside, escapes kept, or a value without quotes; `None` if its inside, written between quotes
/// again, would be another value.
fn inside(value: &str) -> Option<&str> {
    // A tab is white space (RFC 3261 section 25.1); no other control character stands in a value.
    if value.bytes().any(|octet| octet.is_ascii_control() && octet != b'\t') {
        return None;
    }
    if value.starts_with('"') {
        return (text::quoted_end(value.as_bytes(), 0) == Some(value.len())).then(|| text::unquote(value));
    }
    // Some user agents write without quotes what should have them, such as URIs.
    (!value.contains(['"', '\\'])).then_some(value)
}

fn hex_number(text: &str) -> Option<u32> {
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(text, 16).ok())?
}

/// `H(user:realm:password)` in lower-case hex: what is stored instead of a password. For the `-sess` algorithms this
/// is the same as for their plain ones; the session is mixed in by `verify`.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password])
}

/// Whether the response proves knowledge of what is behind `ha1` (hex, of the response's hash). The URI is hashed as
/// sent in the field: PBXs and proxies change the Request-URI's parameters. The comparison takes constant time.
pub fn verify(response: &DigestResponse<'_>, method: &str, ha1: &str) -> bool {
    let protection = Protection {
        algorithm: response.algorithm,
        nonce: response.nonce,
        cnonce: response.cnonce.unwrap_or(""),
        counted: response.qop.map(|qop| (response.nc_text, qop)),
    };
    let expected = protection.proof(&ha1.to_ascii_lowercase(), method, response.uri);
    let claimed = response.response.to_ascii_lowercase();
    expected.as_bytes().ct_eq(claimed.as_bytes()).into()
}

/// What is hashed besides the secret and the request.
struct Protection<'a> {
    algorithm: Algorithm,
    nonce: &'a str,
    cnonce: &'a str,
    /// Nonce count and qop as sent; `None` is RFC 2069.
    counted: Option<(&'a str, &'a str)>,
}

impl Protection<'_> {
    /// RFC 7616 3.4.1.
    fn proof(&self, ha1: &str, method: &str, uri: &str) -> String {
        let Self { algorithm, nonce, cnonce, counted } = *self;
        let session;
        let ha1 = if algorithm.is_session() {
            session = algorithm.hash(&[ha1, nonce, cnonce]);
            &session
        } else {
            ha1
        };
        let ha2 = algorithm.hash(&[method, uri]);
        match counted {
            Some((count, qop)) => algorithm.hash(&[ha1, nonce, count, cnonce, qop, &ha2]),
            None => algorithm.hash(&[ha1, nonce, &ha2]),
        }
    }
}

/// Whether the password was right and only the nonce too old (RFC 7616 section 3.3: `stale`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// Only the nonce was too old: the user need not be asked again.
    Stale,
    /// A first challenge.
    Fresh,
}

/// The value of a WWW-Authenticate or Proxy-Authenticate field.
pub fn challenge_value(realm: &str, nonce: &str, algorithm: Algorithm, staleness: Staleness) -> String {
    let stale = if staleness == Staleness::Stale { ", stale=true" } else { "" };
    format!(
        "Digest realm=\"{}\", nonce=\"{}\", algorithm={}, qop=\"auth\"{stale}",
        escaped(realm),
        escaped(nonce),
        algorithm.as_str()
    )
}

/// Text that was not read from a quoted string, as it stands within one (RFC 3261 section 25.1); a control character
/// has no place there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars().filter(|char| !char.is_ascii_control()) {
        if matches!(char, '\\' | '"') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

/// A challenge that somebody else made for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whose password is asked for.
    pub realm: &'a str,
    /// To be answered to.
    pub nonce: &'a str,
    /// MD5 when not said.
    pub algorithm: Algorithm,
    /// To be returned as given.
    pub opaque: Option<&'a str>,
    /// Whether only the nonce was too old, so that the same password may be tried again.
    pub is_stale: bool,
    /// Whether `auth` is offered; otherwise the answer is that of RFC 2069.
    pub offers_auth: bool,
}

impl<'a> Challenge<'a> {
    /// Reads the value of a WWW-Authenticate or Proxy-Authenticate field.
    pub fn parse(value: &'a str) -> Result<Self, DigestError> {
        let fields = Fields::of(value)?;
        let qop = fields.get("qop").unwrap_or("");
        let offers_auth = qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
        if !offers_auth && !qop.trim().is_empty() {
            return Err(DigestError::Qop);
        }
        Ok(Self {
            realm: fields.get("realm").ok_or(DigestError::Missing("realm"))?,
            nonce: fields.get("nonce").ok_or(DigestError::Missing("nonce"))?,
            algorithm: fields.algorithm()?,
            opaque: fields.get("opaque"),
            is_stale: fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            offers_auth,
        })
    }

    /// The answer: the value of an Authorization or Proxy-Authorization field. `nc` counts from 1 for each nonce,
    /// `cnonce` is the caller's randomness.
    pub fn answer(
        &self,
        method: &str,
        uri: &str,
        user: &str,
        password: &str,
        cnonce: &str,
        nc: u32,
    ) -> String {
        let count = format!("{nc:08x}");
        let counted = self.offers_auth.then_some((count.as_str(), "auth"));
        let Self { realm, nonce, algorithm, .. } = *self;
        let proof = Protection { algorithm, nonce, cnonce, counted }.proof(
            &ha1(algorithm, user, realm, password),
            method,
            uri,
        );
        let mut value = format!(
            // What the challenge said is given back as it was written there, escapes and all.
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", response=\"{proof}\", algorithm={}",
            escaped(user),
            escaped(uri),
            algorithm.as_str()
        );
        let mut add =
            |more: std::fmt::Arguments<'_>| value.write_fmt(more).expect("writing to memory cannot fail");
        let cnonce = escaped(cnonce);
        if counted.is_some() {
            add(format_args!(", cnonce=\"{cnonce}\", qop=auth, nc={count}"));
        } else if algorithm.is_session() {
            add(format_args!(", cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = self.opaque {
            add(format_args!(", opaque=\"{opaque}\""));
        }
        value
    }
}

/// The nonce that the peer wants to be answered to next (RFC 7616 section 3.5), from the value of an Authentication-Info
/// or Proxy-Authentication-Info field.
pub fn next_nonce(value: &str) -> Option<&str> {
    let fields = Fields::pairs(value).ok()?;
    fields.get("nextnonce").filter(|nonce| !nonce.is_empty())
}

/// Answers the value of a WWW-Authenticate or Proxy-Authenticate field: see [`Challenge::answer`].
pub fn answer_challenge(
    challenge: &str,
    method: &str,
    uri: &str,
    user: &str,
    password: &str,
    cnonce: &str,
    nc: u32,
) -> Result<String, DigestError> {
    Ok(Challenge::parse(challenge)?.answer(method, uri, user, password, cnonce, nc))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    std::thread_local! {
        /// Hashes computed by this thread.
        pub(crate) static HASHES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    #[test]
    fn reads_what_pbxs_send() {
        let value = "Digest username=\"bob@example.com\",realm=\"a, b\", nonce=\"n\", uri=\"sip:x;y=1\",response=\"ABCDEF\",\
                     algorithm=\"md5\", nc=0000000A, cnonce=\"c\", qop=\"auth\", opaque=\"\"";
        let response = DigestResponse::parse(value).unwrap();
        assert_eq!((response.username, response.user()), ("bob@example.com", "bob"));
        assert_eq!((response.realm, response.uri), ("a, b", "sip:x;y=1"));
        assert_eq!((response.nc, response.qop, response.opaque), (Some(10), Some("auth"), Some("")));
        assert_eq!(response.algorithm, Algorithm::Md5);
    }

    #[test]
    fn a_user_is_known_by_what_stands_before_its_domain() {
        for username in [
            "bob",
            "bob@example.com",
            "sip:bob@example.com",
            "SIP:bob@example.com",
            "Sips:bob",
            "bob%40example.com",
            "bob%40a@b",
            "bob@a@b",
        ] {
            let value = format!("Digest username=\"{username}\", realm=r, nonce=n, uri=u, response=r");
            assert_eq!(DigestResponse::parse(&value).unwrap().user(), "bob", "{username}");
        }
    }

    #[test]
    fn one_field_may_list_several() {
        let one = "Digest username=\"u\", realm=\"a, Digest b\",nonce = \"n\"";
        let two = "digest realm=other, qop=\"auth,auth-int\"";
        assert_eq!(listed(one).collect::<Vec<_>>(), [one]);
        let all = format!("{one}, {two} ,Basic dTpw");
        assert_eq!(listed(&all).collect::<Vec<_>>(), [one, two, "Basic dTpw"]);
        assert_eq!(listed("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn says_what_is_wrong() {
        let plain = "username=u, realm=r, nonce=n, uri=u, response=r";
        for (value, error) in [
            ("Basic dTpw".to_owned(), DigestError::Scheme),
            ("Digest".to_owned(), DigestError::Scheme),
            ("Digest username=u".to_owned(), DigestError::Missing("realm")),
            (format!("Digest {plain}, algorithm=SHA-512-256"), DigestError::Algorithm),
            (format!("Digest {plain}, qop=auth-int, nc=1, cnonce=c"), DigestError::Qop),
            (format!("Digest {plain}, qop=auth, cnonce=c"), DigestError::Missing("nc")),
            (format!("Digest {plain}, qop=auth, nc=+1, cnonce=c"), DigestError::NonceCount),
            (format!("Digest {plain}, qop=auth, nc=1"), DigestError::Missing("cnonce")),
        ] {
            assert_eq!(DigestResponse::parse(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn quotes_match_or_the_value_is_refused() {
        // Found by fuzzing.
        let found = "Digest realm=\"excmple.com\", qop=\"auth,auth-int\", nonce=\"dcd-98b7102\0\0\0\0\0\0\0\x14que=\"5ccc\", \
                     stale=TRUE, algoDigest rDigest realm=\"excmple.com\", qealm=\"r\", noncm=\"r\", nonce=\"n\", algorit";
        assert_eq!(Challenge::parse(found), Err(DigestError::Quoting));
        for nonce in
            ["\"a\"b\"", "\"a", "a\"", "a\"b", "\"a\\\"", "a\\", "\"a\"b", "\"a\r\nb\"", "\"\u{7f}\""]
        {
            let value = format!("Digest realm=\"r\", nonce={nonce}");
            assert_eq!(Challenge::parse(&value), Err(DigestError::Quoting), "{value}");
        }
        for (nonce, inside) in
            [("\"a\\\"b\"", "a\\\"b"), ("a=b==", "a=b=="), ("\"a\\\\\"", "a\\\\"), ("\"\"", "")]
        {
            let value = format!("Digest realm=\"r\", nonce={nonce}, opaque=\"o\\\"p\"");
            let challenge = Challenge::parse(&value).unwrap();
            assert_eq!(challenge.nonce, inside);
            let answer = challenge.answer("INVITE", "sip:a@b", "u\"\\\r\n", "p", "c\"", 1);
            let response = DigestResponse::parse(&answer).unwrap();
            assert_eq!((response.nonce, response.opaque), (inside, Some("o\\\"p")));
            assert_eq!(response.username, "u\\\"\\\\");
        }
    }

    #[test]
    fn the_next_nonce_is_read() {
        assert_eq!(next_nonce("qop=auth, nextnonce=\"n, 2\", nc=00000001"), Some("n, 2"));
        assert_eq!(next_nonce("nextnonce=n2"), Some("n2"));
        for nothing in ["", "rspauth=\"a\"", "nextnonce=\"\"", "nextnonce=\"n"] {
            assert_eq!(next_nonce(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn both_sides_agree_for_every_algorithm() {
        for algorithm in [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess] {
            let challenge = challenge_value("sip \"x\"", "abc", algorithm, Staleness::Stale);
            assert!(Challenge::parse(&challenge).unwrap().is_stale);
            let answer = answer_challenge(&challenge, "REGISTER", "sip:d", "u", "p", "cn", 255).unwrap();
            let response = DigestResponse::parse(&answer).unwrap();
            let secret = ha1(algorithm, "u", response.realm, "p");
            assert_eq!(response.nc, Some(255));
            assert!(verify(&response, "REGISTER", &secret));
            assert!(!verify(&response, "INVITE", &secret));
            assert!(!verify(&response, "REGISTER", &ha1(algorithm, "u", response.realm, "q")));
        }
    }
}

//! Responses as faulty peers write them: one field odd, or octets changed at random.

use bytes::Bytes;

use super::Agent;
use crate::dice::Dice;

/// What is done to every response of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mangling {
    None,
    /// This one of [`ODDITIES`].
    Oddity(usize),
    /// Some of them, drawn for each response.
    Oddities,
    /// The status line has no status.
    Statusless,
    /// The 200 to an INVITE lacks the tag of To.
    Tagless,
    /// A few octets are lost, put in or changed.
    Octets,
}

/// How a response is made odd. `{host}` is the agent's own address.
#[derive(Clone, Copy, Debug)]
enum Oddity {
    /// A field more.
    With(&'static str),
    /// The field of this name is written so; `{value}` is what it held.
    Instead(&'static str, &'static str),
    /// The field of this name is missing.
    Without(&'static str),
    /// The status line begins so; `{code}` is the status.
    Start(&'static str),
}

use Oddity::{Instead, Start, With, Without};

/// Nothing in them keeps a call from going on.
const ODDITIES: [Oddity; 60] = [
    Instead("Contact", "<sip:alpha@{host};thinfo=\"x y\">"),
    Instead("Contact", "<sip:al pha@{host}>"),
    Instead("Contact", "<sip:alpha@ {host} ;line = 1 >;q=0.5"),
    Instead("Contact", "sip:alpha@{host};+sip.instance=\"<urn:uuid:1>\""),
    Instead("Contact", "\"Al \\\" pha\" <sip:alpha@{host};x=\"a>b,c\">"),
    Instead("Contact", "\"unbalanced <sip:alpha@{host}>"),
    Instead("Contact", "bob"),
    Instead("Contact", "<mailto:alpha@example.com>, <sip:alpha@{host}>"),
    Instead("Contact", "<sip:alpha@{host}>, <sip:alpha@{host};second>"),
    Instead("Contact", "*"),
    Without("Contact"),
    With("Record-Route: <sip:{host};lr;thinfo=\"x y\">"),
    With("Record-Route: <sip:{host};lr;a b>;c=\"d"),
    With("Refer-To: bob"),
    With("Referred-By: <sip:b ob@example.com>;cid=\""),
    With("Reply-To: <>"),
    With("Route: <"),
    With("Path: @"),
    With("Service-Route: bob, \"x"),
    With("P-Asserted-Identity: \"A <sip:a>, tel:+1;x=\"y z\""),
    With("P-Charging-Vector: icid-value=\"a;b"),
    With("P-Early-Media: ;;"),
    With("History-Info: <sip:a b?Reason=x\";>;index=1.x, ,"),
    With("Diversion: \";reason=unconditional"),
    With("Date: Fri, 01 Jan 2010 16:00:00 EST"),
    With("Expires: -1"),
    With("Min-Expires: soon"),
    With("Retry-After: 99999999999999999999 (\")"),
    With("Session-Expires: 99999999999;refresher=nobody"),
    With("Session-Expires: soon"),
    With("Min-SE: -90"),
    With("RSeq: 99999999999999"),
    With("RAck: x"),
    With("Allow: \"INVITE"),
    With("Supported: ,,\"timer, @"),
    With("Unsupported: <"),
    With("Require: "),
    With("Reason: SIP;cause=abc;text=\"x"),
    With("Warning: 399"),
    With("Timestamp: now"),
    With("Max-Forwards: -1"),
    With("Content-Disposition: ;;"),
    With("Event: ;"),
    With("Replaces: \""),
    With("Privacy: ;;;"),
    With("User-Agent: \u{fc}\u{7f}\u{1b}[2J"),
    With("no field at all"),
    With("Bad Name : x"),
    With("From: <sip:second@example.com>;tag=second"),
    With("Call-ID: second"),
    Instead("From", "\"unbalanced <sip:a@b>"),
    Without("From"),
    Instead("To", "\"unbalanced {value}"),
    Without("Call-ID"),
    Instead("CSeq", "99999999999 {value}"),
    Instead("Via", "{value} ; received = [[[ ; x=\"y;z\""),
    Start("SIP/2.1  {code}"),
    Start("sip/2.0 {code}x"),
    With("CSeq: 99 BYE"),
    Without("CSeq"),
];

/// The last ones hide the method, which alone tells the answer to a CANCEL from the one to its INVITE (RFC 3261
/// section 17.1.3).
const HIDE_THE_METHOD: usize = 2;

/// How many oddities there are.
pub(crate) const ODDITY_COUNT: usize = ODDITIES.len();

impl Oddity {
    fn apply(self, text: &str, host: &str) -> String {
        let (head, body) = text.split_once("\r\n\r\n").expect("we write whole messages");
        let mut lines = head.split("\r\n").map(str::to_owned).collect::<Vec<_>>();
        let is_named = |line: &String, name: &str| line.split(':').next() == Some(name);
        match self {
            With(line) => lines.insert(lines.len() / 2 + 1, line.replace("{host}", host)),
            Instead(name, written) => {
                for line in lines.iter_mut().filter(|line| is_named(line, name)) {
                    let value = line.split_once(": ").map_or("", |(_, value)| value).to_owned();
                    *line = format!("{name}: {}", written.replace("{host}", host).replace("{value}", &value));
                }
            }
            Without(name) => lines.retain(|line| !is_named(line, name)),
            Start(written) => {
                let rest = lines[0].split_once(' ').expect("a status line").1.to_owned();
                let (code, phrase) = rest.split_once(' ').unwrap_or((&rest, ""));
                lines[0] = format!("{} {phrase}", written.replace("{code}", code));
            }
        }
        format!("{}\r\n\r\n{body}", lines.join("\r\n"))
    }
}

impl Agent {
    /// A response as it goes out.
    pub(super) fn mangled(&mut self, bytes: Bytes) -> Bytes {
        let host = self.address.to_string();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match self.mangling {
            Mangling::None => bytes,
            Mangling::Oddity(place) => Bytes::from(ODDITIES[place].apply(&text, &host)),
            Mangling::Oddities => {
                let (count, usual) = (1 + self.dice.below(4), &ODDITIES[..ODDITY_COUNT - HIDE_THE_METHOD]);
                let drawn: Vec<_> = (0..count).map(|_| *self.dice.pick(usual)).collect();
                // Two of these leave no status.
                self.is_garbled |= drawn.iter().filter(|oddity| matches!(oddity, Start(_))).count() > 1;
                Bytes::from(drawn.into_iter().fold(text, |text, oddity| oddity.apply(&text, &host)))
            }
            Mangling::Statusless => {
                self.is_garbled = true;
                Bytes::from(Start("SIP/2.0").apply(&text, &host))
            }
            Mangling::Tagless => {
                let is_answer = text.starts_with("SIP/2.0 200") && text.contains(" INVITE\r\n");
                let untagged = |line: &str| match line.split_once(";tag=") {
                    Some((to, _)) if is_answer && line.starts_with("To:") => to.to_owned(),
                    _ => line.to_owned(),
                };
                Bytes::from(text.split("\r\n").map(untagged).collect::<Vec<_>>().join("\r\n"))
            }
            Mangling::Octets => {
                let mangled = change_octets(&mut self.dice, &bytes, &host);
                self.is_garbled |= !is_told(&bytes, &mangled);
                mangled
            }
        }
    }
}

/// Changes some octets, but never where the agent says it is: nobody is told elsewhere.
fn change_octets(dice: &mut Dice, bytes: &Bytes, host: &str) -> Bytes {
    let mut octets = bytes.to_vec();
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(octets.len() as u64) as usize;
        let cut = dice.below(4) as usize;
        let put: Vec<u8> = (0..dice.below(4)).map(|_| *dice.pick(b" \t;:,<>\"\\@=%?[ax\xfc\r\n")).collect();
        let end = (at + cut).min(octets.len());
        let ip = host.split(':').next().expect("an address and a port");
        let touches = |from: usize, length: usize| from <= end && at <= from + length;
        let is_ours = octets
            .windows(ip.len())
            .enumerate()
            .any(|(from, window)| window == ip.as_bytes() && touches(from, host.len()));
        if !is_ours {
            octets.splice(at..end, put);
        }
    }
    Bytes::from(octets)
}

/// Whether what is left of a response still says what it answers, in which dialog, and whether it accepts.
fn is_told(original: &Bytes, mangled: &Bytes) -> bool {
    let (original, mangled) = (String::from_utf8_lossy(original), String::from_utf8_lossy(mangled));
    let line =
        |text: &str, start: &str| text.split("\r\n").find(|line| line.starts_with(start)).map(str::to_owned);
    let is_same = |start: &str| line(&original, start) == line(&mangled, start);
    let head = |text: &str| text.get(..9).map(str::to_owned);
    head(&original) == head(&mangled) && ["Via", "To", "CSeq"].into_iter().all(is_same)
}

//! The section `media`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// RTP addresses and ports.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// Where RTP is received and sent; one for each address family that is served.
    pub addresses: Vec<MediaAddress>,
    /// The ports used, first and last; a call uses four of them.
    pub ports: PortRange,
    /// Threads that move packets; one for each core that may be busy with it.
    pub workers: usize,
    /// An answered call without any packet for this long is ended, seconds; 0 never.
    pub silence_s: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self { addresses: Vec::new(), ports: PortRange::DEFAULT, workers: 2, silence_s: 300 }
    }
}

/// One address for RTP.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MediaAddress {
    /// The address to bind.
    pub bind: IpAddr,
    /// The address written into session descriptions, where it is another one.
    pub advertise: Option<IpAddr>,
}

impl MediaAddress {
    /// The address written into session descriptions.
    pub fn advertised(&self) -> IpAddr {
        self.advertise.unwrap_or(self.bind)
    }
}

/// A range of ports, first and last: `20000-29999`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, itself used.
    pub last: u16,
}

impl PortRange {
    const DEFAULT: Self = Self { first: 20_000, last: 29_999 };

    /// Whether a port lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many pairs of an even port and the odd one above it there are; each leg of a call needs one.
    pub fn pairs(self) -> usize {
        let first = usize::from(self.first).next_multiple_of(2);
        (usize::from(self.last) + 1).saturating_sub(first) / 2
    }

    /// How many ports there are.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cure =
            || format!("\"{text}\" is not a range of ports; write the first and the last, like 20000-29999");
        let (first, last) = text.split_once('-').ok_or_else(cure)?;
        let port = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = port(first).zip(port(last)).ok_or_else(cure)?;
        if first > last {
            return Err(format!("the range {text} ends before it begins; write {last}-{first}"));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_and_a_last_port() {
        let range: PortRange = "20000-29999".parse().unwrap();
        assert_eq!((range.count(), range.contains(29_999), range.contains(30_000)), (10_000, true, false));
        assert_eq!(range.pairs(), 5_000);
        let odd: PortRange = "20001-20004".parse().unwrap();
        assert_eq!(odd.pairs(), 1, "20004 has no odd port beside it");
        for wrong in ["20000", "0-10", "20000-x", "", "5-70000"] {
            assert!(wrong.parse::<PortRange>().unwrap_err().contains("like 20000-29999"), "{wrong}");
        }
        assert!("30000-20000".parse::<PortRange>().unwrap_err().contains("write 20000-30000"));
    }
}

//! Payload types that the two sides number differently.
//!
//! Each side names the numbers that it wants to receive (RFC 3264, 5.1), and descriptions pass from one to the other, so a
//! peer that keeps to them needs no help. Many keep their own numbers for what they send, most of all for
//! telephone-event: those are changed on the way.

use crate::packet::{PacketBuf, RtpHeader};

/// A payload type of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 127.
    pub number: u8,
    /// What `a=rtpmap` says, or a name of its own for a static one. Compared as it is.
    pub encoding: String,
}

/// More numbers than these are never changed; descriptions with two are rare.
const MAX: usize = 8;

/// What becomes of one side's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Renumber {
    changes: [(u8, u8); MAX],
    len: usize,
}

impl Renumber {
    /// Of a side that has described `from`, on the way to one that has described `to`. Only numbers that cannot be meant
    /// as the listener means them are changed.
    pub(super) fn new(from: &[Payload], to: &[Payload]) -> Self {
        let mut all = Self::default();
        for own in from {
            let is_as_told = to.iter().any(|theirs| {
                theirs.number == own.number && from.iter().any(|known| known.encoding == theirs.encoding)
            });
            if let (false, Some(number)) = (is_as_told, only_of(to, &own.encoding))
                && only_of(from, &own.encoding).is_some()
                && all.len < MAX
            {
                all.changes[all.len] = (own.number, number);
                all.len += 1;
            }
        }
        all
    }

    /// Changes a packet's number, if that is one of them.
    #[inline]
    pub(super) fn change(&self, header: &mut RtpHeader, packet: &mut PacketBuf) {
        let change = self.changes[..self.len].iter().find(|(own, _)| *own == header.payload_type);
        if let (Some((_, number)), Some(octet)) = (change, packet.as_mut_slice().get_mut(1)) {
            header.payload_type = *number;
            *octet = *octet & 0x80 | number;
        }
    }
}

/// The number of an encoding, if there is exactly one.
fn only_of(payloads: &[Payload], encoding: &str) -> Option<u8> {
    let mut numbers = payloads.iter().filter(|it| it.encoding == encoding).map(|it| it.number & 0x7f);
    numbers.next().filter(|_| numbers.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(all: &[(u8, &str)]) -> Vec<Payload> {
        all.iter()
            .map(|(number, encoding)| Payload { number: *number, encoding: (*encoding).to_owned() })
            .collect()
    }

    const EVENT: &str = "telephone-event/8000";

    /// What a packet's number becomes; the marker stays.
    fn sent(renumber: &Renumber, number: u8) -> u8 {
        let mut packet = PacketBuf::new();
        packet.fill(&[0x80, 0x80 | number, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 5]);
        let mut header = RtpHeader::parse(packet.as_slice()).unwrap();
        renumber.change(&mut header, &mut packet);
        assert_eq!(packet.as_slice()[1], 0x80 | header.payload_type);
        header.payload_type
    }

    #[test]
    fn a_peer_that_keeps_its_own_number_is_understood_and_one_that_does_not_is_left_alone() {
        let near = payloads(&[(8, "#8"), (101, EVENT)]);
        let far = payloads(&[(8, "#8"), (96, EVENT)]);
        let (out, back) = (Renumber::new(&near, &far), Renumber::new(&far, &near));
        assert_eq!([sent(&out, 101), sent(&out, 96), sent(&out, 8)], [96, 96, 8]);
        assert_eq!([sent(&back, 96), sent(&back, 101), sent(&back, 8)], [101, 101, 8]);
        assert_eq!(Renumber::new(&near, &near), Renumber::default());
    }

    #[test]
    fn a_number_that_may_be_meant_as_the_listener_means_it_stays() {
        let near = payloads(&[(96, "opus/48000/2"), (101, EVENT)]);
        let both = payloads(&[(101, "opus/48000/2"), (96, EVENT)]);
        let out = Renumber::new(&near, &both);
        assert_eq!([sent(&out, 96), sent(&out, 101)], [96, 101], "either may be meant");
        let events_only = payloads(&[(8, "#8"), (96, EVENT)]);
        let back = Renumber::new(&events_only, &near);
        assert_eq!(sent(&back, 96), 101, "it has no other codec of that number");
    }

    #[test]
    fn clocks_are_told_apart_and_twins_stay() {
        let near = payloads(&[(100, "telephone-event/48000"), (101, EVENT)]);
        let far = payloads(&[(110, "telephone-event/48000"), (111, EVENT)]);
        let out = Renumber::new(&near, &far);
        assert_eq!([sent(&out, 100), sent(&out, 101)], [110, 111]);
        let twins = payloads(&[(110, EVENT), (111, EVENT)]);
        assert_eq!(Renumber::new(&near, &twins), Renumber::default());
    }
}

//! As much of RTCP as is needed to tell a control packet from junk.

/// Is this a compound packet whose parts have version 2, an RTCP type, and lengths that add up exactly
/// (RFC 3550, appendix A.2)? Which part stands first is left open: RFC 5506 allows any.
#[must_use]
pub(super) fn is_valid(packet: &[u8]) -> bool {
    let mut rest = packet;
    while !rest.is_empty() {
        let [first, kind, high, low, ..] = *rest else {
            return false;
        };
        let len = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        if first >> 6 != 2 || !(192..=223).contains(&kind) || len > rest.len() {
            return false;
        }
        rest = &rest[len..];
    }
    packet.len() >= crate::packet::RTCP_HEADER
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compound_packet_must_add_up() {
        let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        assert!(is_valid(&packet));
        packet.extend_from_slice(&[0x81, 203, 0, 1, 0, 0, 0, 9]);
        assert!(is_valid(&packet));
        packet[11] = 2;
        assert!(!is_valid(&packet), "the goodbye is longer than the packet");
        packet[11] = 0;
        assert!(!is_valid(&packet), "what follows the goodbye is no RTCP");
        assert!(!is_valid(&[]));
        assert!(!is_valid(&[0x80, 201, 0, 0]), "there is no sender");
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_valid(&packet);
        }
    }
}

//! The one buffer a packet lives in, and as much of RTP and RTCP as a relay has to read.
//!
//! Everything here runs before authentication, on octets anybody may have sent: lengths are checked first,
//! and nothing inside a header extension is interpreted (a relay passes it on as it came).

/// Longest datagram taken from a socket, in octets. Audio fits into an Ethernet frame; longer is junk.
pub const MAX_DATAGRAM: usize = 1984;

/// Room kept behind the datagram for what SRTP appends: a 16 octet tag, the 4 octet SRTCP index, an MKI.
pub const TAIL_ROOM: usize = 64;

/// RTP's fixed header (RFC 3550, 5.1), in octets.
pub const RTP_HEADER: usize = 12;

/// RTCP's common header with the sender's SSRC (RFC 3550, 6.4), in octets.
pub const RTCP_HEADER: usize = 8;

/// A packet that is read, decrypted, encrypted and sent in place: no stage copies it.
pub struct PacketBuf {
    octets: Box<[u8; MAX_DATAGRAM + TAIL_ROOM]>,
    len: usize,
}

impl Default for PacketBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl PacketBuf {
    /// An empty buffer. One per worker thread is enough.
    #[must_use]
    pub fn new() -> Self {
        Self { octets: Box::new([0; MAX_DATAGRAM + TAIL_ROOM]), len: 0 }
    }

    /// Where a socket writes. It is one octet longer than a datagram may be, so that a cut one is noticed.
    pub fn receive_area(&mut self) -> &mut [u8] {
        &mut self.octets[..=MAX_DATAGRAM]
    }

    /// Says how much of [`receive_area`](Self::receive_area) was written, at most that area.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(MAX_DATAGRAM + 1);
    }

    /// Replaces the contents, cut at one octet over [`MAX_DATAGRAM`] as a socket would.
    pub fn fill(&mut self, packet: &[u8]) {
        let len = packet.len().min(MAX_DATAGRAM + 1);
        self.octets[..len].copy_from_slice(&packet[..len]);
        self.len = len;
    }

    /// The packet's length in octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The packet.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// The packet, to be changed where it lies.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.octets[..self.len]
    }

    /// Appends a trailer if it fits. A received packet always has [`TAIL_ROOM`] behind it.
    pub(crate) fn append(&mut self, trailer: &[u8]) -> bool {
        let end = self.len + trailer.len();
        if end > self.octets.len() {
            return false;
        }
        self.octets[self.len..end].copy_from_slice(trailer);
        self.len = end;
        true
    }

    /// Shortens the packet; longer than it is changes nothing.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// What arrived on a media port (RFC 7983 and RFC 5761, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 2 and a payload type outside RTCP's range.
    Rtp,
    /// Version 2 and a second octet of 192 to 223.
    Rtcp,
    /// A STUN message: a peer probing for ICE, which a trunk does not use.
    Stun,
    /// Empty, a few octets, or zeroes: what some phones send to keep a NAT open.
    Keepalive,
    /// Anything else: DTLS, junk, attacks.
    Unknown,
}

/// Sorts a datagram by its first two octets.
#[must_use]
pub fn classify(packet: &[u8]) -> Kind {
    let [first, second, ..] = *packet else {
        return Kind::Keepalive;
    };
    match first {
        // RFC 5764, 5.1.2: 0..3 is STUN; its magic cookie tells it from zeroes that keep a NAT open.
        0..=3 if packet.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]) => Kind::Stun,
        _ if packet.len() < RTCP_HEADER => Kind::Keepalive,
        0 if packet.iter().all(|octet| *octet == 0) => Kind::Keepalive,
        // RFC 5761, 4: RTCP packet types 192..223 overlap payload types 64..95 with the marker bit set.
        128..=191 if (192..=223).contains(&second) => Kind::Rtcp,
        128..=191 if packet.len() >= RTP_HEADER => Kind::Rtp,
        128..=191 => Kind::Keepalive,
        _ => Kind::Unknown,
    }
}

/// The part of an RTP header that a relay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The synchronisation source.
    pub ssrc: u32,
    /// The sequence number, which wraps.
    pub sequence: u16,
    /// The sampling instant, in units of the codec's clock.
    pub timestamp: u32,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// Octets up to the payload: fixed header, contributing sources and extension.
    pub len: usize,
}

impl RtpHeader {
    /// Reads a header. `None` if the version is not 2 or the lengths it states exceed the packet.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; RTP_HEADER] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut len = RTP_HEADER + usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(len + 2..len + 4)?;
            len += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
        }
        if len > packet.len() {
            return None;
        }
        Some(Self {
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            payload_type: fixed[1] & 0x7f,
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_with_sources_and_extension_ends_where_it_says() {
        let mut packet = vec![0x92, 0x80, 0x12, 0x34, 0, 0, 0, 9, 0xde, 0xad, 0xbe, 0xef];
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend_from_slice(b"payload");
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!((header.ssrc, header.sequence, header.timestamp), (0xdead_beef, 0x1234, 9));
        assert_eq!(&packet[header.len..], b"payload");
    }

    #[test]
    fn a_header_longer_than_its_packet_is_refused() {
        let mut packet = vec![0x8f; 12];
        assert_eq!(RtpHeader::parse(&packet), None);
        packet[0] = 0x90;
        assert_eq!(RtpHeader::parse(&packet), None, "extension flag without an extension");
        packet.extend_from_slice(&[0xbe, 0xde, 0xff, 0xff]);
        assert_eq!(RtpHeader::parse(&packet), None, "extension longer than the packet");
    }

    #[test]
    fn what_is_no_media_is_told_apart() {
        let mut stun = [0u8; 20];
        stun[1] = 1;
        stun[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(classify(&stun), Kind::Stun);
        assert_eq!(classify(&[]), Kind::Keepalive);
        assert_eq!(classify(&[0; 4]), Kind::Keepalive);
        assert_eq!(classify(b"\r\n\r\n"), Kind::Keepalive);
        assert_eq!(classify(&[0; 160]), Kind::Keepalive);
        assert_eq!(classify(&[22; 40]), Kind::Unknown, "a DTLS record");
        let mut rtp = [0u8; 172];
        rtp[0] = 0x80;
        assert_eq!(classify(&rtp), Kind::Rtp);
        rtp[1] = 200;
        assert_eq!(classify(&rtp), Kind::Rtcp);
        rtp[1] = 0x80 | 101;
        assert_eq!(classify(&rtp), Kind::Rtp, "telephone-event with its marker is not RTCP");
    }

    #[test]
    fn a_datagram_too_long_shows_by_its_length() {
        let mut buf = PacketBuf::new();
        buf.fill(&[0x80; 4000]);
        assert_eq!(buf.len(), MAX_DATAGRAM + 1);
        assert!(!buf.append(&[0; TAIL_ROOM]));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = classify(&packet);
            if let Some(header) = RtpHeader::parse(&packet) {
                prop_assert!(header.len <= packet.len());
            }
        }
    }
}

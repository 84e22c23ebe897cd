//! The echo endpoint: what a side sends comes back to it.

use crate::packet::{PacketBuf, RtpHeader};

/// Gives each stream that comes back an SSRC of its own. A peer that hears its own SSRC takes it for a loop
/// and drops the packets (RFC 3550, 8.2). The same stream always gets the same one, so it stays continuous.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    mask: u32,
}

impl Echo {
    /// `seed` is any random number.
    pub(super) fn new(seed: u32) -> Self {
        Self { mask: seed | 1 }
    }

    /// Turns a packet into one of ours.
    pub(super) fn turn(self, header: &mut RtpHeader, packet: &mut PacketBuf) {
        header.ssrc ^= self.mask;
        if let Some(ssrc) = packet.as_mut_slice().get_mut(8..12) {
            ssrc.copy_from_slice(&header.ssrc.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_comes_back_under_one_other_ssrc() {
        let mut ssrcs = Vec::new();
        for sequence in 0..3 {
            let mut packet = PacketBuf::new();
            packet.fill(&[0x80, 0, 0, sequence, 0, 0, 0, 0, 1, 2, 3, 4, 9, 9]);
            let mut header = RtpHeader::parse(packet.as_slice()).unwrap();
            Echo::new(0).turn(&mut header, &mut packet);
            ssrcs.push(RtpHeader::parse(packet.as_slice()).unwrap().ssrc);
        }
        assert!(ssrcs.iter().all(|ssrc| *ssrc == ssrcs[0] && *ssrc != 0x0102_0304));
    }
}

//! Streams that restart under their old SSRC, on their way to an encrypted leg.
//!
//! Some senders restart their sequence numbers after a hold or a transfer. In clear that is harmless. Encrypted,
//! the numbers fall behind the packet index, where using them again would break the key (RFC 3711, 9.1) and
//! where the receiver's replay window lets nothing through: silence, for up to eleven minutes. So the numbers
//! of a restarted stream are moved to follow its last one.

use crate::packet::PacketBuf;
use crate::srtp::{Context, MAX_STREAMS};

/// The distance by which each restarted stream's numbers are moved.
#[derive(Default)]
pub(super) struct Splice {
    offsets: Vec<(u32, u16)>,
    /// A number far behind: loss and delay can do that once, but not twice in a row (RFC 3550, A.1).
    suspect: Option<(u32, u16)>,
}

impl Splice {
    /// Renumbers an RTP packet, if its stream was restarted, so that `context` can protect it.
    #[inline]
    pub(super) fn join(&mut self, context: &Context, ssrc: u32, sequence: u16, packet: &mut PacketBuf) {
        let place = self.offsets.iter().position(|(known, _)| *known == ssrc);
        let mut offset = place.map_or(0, |place| self.offsets[place].1);
        if let Some(next) = context.next_if_behind(ssrc, sequence.wrapping_add(offset)) {
            let is_restart = self.suspect == Some((ssrc, sequence.wrapping_sub(1)));
            self.suspect = Some((ssrc, sequence));
            if is_restart {
                offset = next.wrapping_sub(sequence);
                match place {
                    Some(place) => self.offsets[place].1 = offset,
                    None => self.add(ssrc, offset),
                }
            }
        }
        if offset != 0
            && let Some(number) = packet.as_mut_slice().get_mut(2..4)
        {
            number.copy_from_slice(&sequence.wrapping_add(offset).to_be_bytes());
        }
    }

    /// The oldest makes room. Should its stream go on, it is found to be behind, and is moved again.
    fn add(&mut self, ssrc: u32, offset: u16) {
        if self.offsets.len() >= MAX_STREAMS {
            self.offsets.remove(0);
        }
        self.offsets.push((ssrc, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::RtpHeader;
    use crate::srtp::suite::MAX_MASTER;
    use crate::srtp::{Keys, Srtp, SrtpError, Suite};

    struct Leg {
        splice: Splice,
        send: Context,
        receive: Context,
    }

    impl Leg {
        fn new() -> Self {
            let keys = Keys::from_random(Suite::AesCm128Sha1Tag80, &[1; MAX_MASTER]);
            Self { splice: Splice::default(), send: Context::new(keys.clone()), receive: Context::new(keys) }
        }

        /// The number the receiver sees.
        fn pass(&mut self, ssrc: u32, sequence: u16) -> Result<u16, SrtpError> {
            let mut packet = PacketBuf::new();
            packet.fill(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            packet.as_mut_slice()[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet.as_mut_slice()[8..12].copy_from_slice(&ssrc.to_be_bytes());
            self.splice.join(&self.send, ssrc, sequence, &mut packet);
            self.send.protect_rtp(&mut packet)?;
            self.receive.unprotect_rtp(&mut packet)?;
            Ok(RtpHeader::parse(packet.as_slice()).unwrap().sequence)
        }
    }

    #[test]
    fn a_restarted_stream_goes_on_where_it_ended() {
        let mut leg = Leg::new();
        for sequence in 20_000..20_300 {
            assert_eq!(leg.pass(1, sequence), Ok(sequence), "what is continuous is not touched");
        }
        assert_eq!(leg.pass(1, 5000), Err(SrtpError::Replayed), "once may be a stray");
        assert_eq!(leg.pass(1, 5001), Ok(20_300));
        assert_eq!(leg.pass(1, 5003), Ok(20_302));
        assert_eq!(leg.pass(1, 5002), Ok(20_301), "order within the window is the sender's");
        assert_eq!(leg.pass(2, 5000), Ok(5000), "another stream has numbers of its own");
        leg.pass(1, 40).unwrap_err();
        assert_eq!(leg.pass(1, 41), Ok(20_303), "and a second time");
    }

    #[test]
    fn however_many_streams_restart_each_goes_on() {
        let mut leg = Leg::new();
        for ssrc in 0..3 * MAX_STREAMS as u32 {
            for sequence in 20_000..20_200 {
                leg.pass(ssrc, sequence).unwrap();
            }
            leg.pass(ssrc, 5000).unwrap_err();
            assert_eq!(leg.pass(ssrc, 5001), Ok(20_200), "stream {ssrc}");
            assert_eq!(leg.pass(ssrc, 5002), Ok(20_201), "stream {ssrc}");
        }
    }

    #[test]
    fn strays_and_duplicates_stay_refused() {
        let mut leg = Leg::new();
        for sequence in 1000..1300 {
            leg.pass(1, sequence).unwrap();
        }
        for _ in 0..5 {
            assert_eq!(leg.pass(1, 1000), Err(SrtpError::Replayed));
            assert_eq!(leg.pass(1, 1250), Err(SrtpError::Replayed));
        }
        assert_eq!(leg.pass(1, 1300), Ok(1300));
    }
}

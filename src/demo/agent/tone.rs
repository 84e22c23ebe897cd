//! Tones: made, coded with G.711, and recognised again.

use std::f64::consts::TAU;

/// Samples a second of G.711.
const RATE: u32 = 8_000;
/// Samples of one packet: 20 ms.
pub(super) const FRAME: usize = 160;
/// Samples that a tone is looked for in: 100 ms, so that tones 10 Hz apart differ by a whole period.
pub(super) const WINDOW: usize = 800;
/// Loud enough to survive companding, far from clipping.
const AMPLITUDE: f64 = 9_000.0;
/// The share of the energy that one frequency must have to be called a tone. G.711's own noise is below 1 %.
const PURITY: f64 = 0.8;
/// Below this mean power there is silence.
const QUIET: f64 = 10_000.0;

/// The two laws of G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// µ-law, payload type 0.
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// The codec of that name in a session description.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PCMU" => Some(Self::Pcmu),
            "PCMA" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// The static payload type of RFC 3551, section 6.
    pub(super) const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The codec of a static payload type.
    pub(super) fn of_payload_type(number: u8) -> Option<Self> {
        [Self::Pcmu, Self::Pcma].into_iter().find(|codec| codec.payload_type() == number)
    }

    fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => encode_mu(sample),
            Self::Pcma => encode_a(sample),
        }
    }

    /// One sample from its octet.
    pub(super) fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Pcmu => decode_mu(octet),
            Self::Pcma => decode_a(octet),
        }
    }
}

/// A sine that goes on from frame to frame without a click.
pub(super) struct Tone {
    step: f64,
    phase: f64,
}

impl Tone {
    /// A tone of that many Hz.
    pub(super) fn new(hz: u16) -> Self {
        Self { step: TAU * f64::from(hz) / f64::from(RATE), phase: 0.0 }
    }

    /// The next 20 ms, coded.
    pub(super) fn frame(&mut self, codec: Codec) -> [u8; FRAME] {
        std::array::from_fn(|_| {
            let sample = (self.phase.sin() * AMPLITUDE) as i16;
            self.phase = (self.phase + self.step) % TAU;
            codec.encode(sample)
        })
    }
}

/// The frequency, to 10 Hz, that nearly all of the sound has; `None` for silence, noise, speech and mixtures.
pub(super) fn recognise(samples: &[i16; WINDOW]) -> Option<u16> {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    if energy < QUIET * WINDOW as f64 {
        return None;
    }
    let candidates = (200..=3_400).step_by(10).map(|hz| (hz, power(samples, hz)));
    let (hz, power) = candidates.max_by(|one, other| one.1.total_cmp(&other.1))?;
    (power > PURITY * energy).then_some(hz)
}

/// The energy at one frequency by Goertzel's recurrence, so scaled that a pure tone has all of the signal's.
fn power(samples: &[i16; WINDOW], hz: u16) -> f64 {
    let turn = 2.0 * (TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        (last, before) = (f64::from(sample) + turn * last - before, last);
    }
    2.0 * (last * last + before * before - turn * last * before) / WINDOW as f64
}

/// G.711, table 2: a sign, three bits of segment, four of step; all bits inverted.
fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let segment = (24 - (magnitude as u32).leading_zeros()).min(7) as u8;
    let step = (magnitude >> (segment + 3)) as u8 & 0x0f;
    !(sign | segment << 4 | step)
}

fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let magnitude = (((i16::from(octet & 0x0f) << 3) + 132) << ((octet >> 4) & 7)) - 132;
    if octet & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711, table 1: like the above with a linear first segment; even bits inverted.
fn encode_a(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = if sample >= 0 { sample } else { !sample };
    let segment = (24u32.saturating_sub((magnitude as u32).leading_zeros())).min(7) as u8;
    let step = (magnitude >> if segment == 0 { 4 } else { segment + 3 }) as u8 & 0x0f;
    (sign | segment << 4 | step) ^ 0x55
}

fn decode_a(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let (segment, step) = ((octet >> 4) & 7, i16::from(octet & 0x0f) << 4);
    let magnitude = if segment == 0 { step + 8 } else { (step + 264) << (segment - 1) };
    if octet & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(hz: u16, codec: Codec) -> [i16; WINDOW] {
        let mut tone = Tone::new(hz);
        let octets: Vec<u8> = (0..WINDOW / FRAME).flat_map(|_| tone.frame(codec)).collect();
        std::array::from_fn(|at| codec.decode(octets[at]))
    }

    #[test]
    fn a_tone_is_recognised_through_both_laws() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for hz in [300, 440, 660, 1_020, 2_100] {
                assert_eq!(recognise(&played(hz, codec)), Some(hz), "{codec:?}");
            }
        }
    }

    #[test]
    fn silence_noise_and_mixtures_are_no_tone() {
        assert_eq!(recognise(&[0; WINDOW]), None);
        let mut seed = 1u32;
        let noise = std::array::from_fn(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 17) as i16 - 16_384
        });
        assert_eq!(recognise(&noise), None);
        let (low, high) = (played(440, Codec::Pcmu), played(880, Codec::Pcmu));
        assert_eq!(recognise(&std::array::from_fn(|at| low[at] / 2 + high[at] / 2)), None);
    }

    /// Known pairs of G.711: the ends, the middle and both signs.
    #[test]
    fn octets_are_those_of_g711() {
        assert_eq!([0, 32_767, -32_768].map(encode_mu), [0xff, 0x80, 0x00]);
        assert_eq!([0xff, 0x80, 0x00].map(decode_mu), [0, 32_124, -32_124]);
        assert_eq!([0, 32_767, -32_768].map(encode_a), [0xd5, 0xaa, 0x2a]);
        assert_eq!([0xd5, 0xaa, 0x2a].map(decode_a), [8, 32_256, -32_256]);
    }

    #[test]
    fn every_octet_survives_decoding_and_coding() {
        for octet in 0..=255 {
            assert_eq!(encode_a(decode_a(octet)), octet);
            // µ-law has two zeros; the negative one comes back as the positive.
            assert_eq!(encode_mu(decode_mu(octet)), if octet == 0x7f { 0xff } else { octet });
        }
    }
}

//! One 20 ms packet of G.711 through the in-place path and through the reference.

mod counting;

use criterion::{Criterion, criterion_group, criterion_main};
use media_relay::packet::PacketBuf;
use media_relay::srtp::reference::Reference;
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Context, Keys, Srtp, Suite};
use std::hint::black_box;

const PAYLOAD: usize = 160;

/// A sender that counts its packets up, for ever.
struct Source {
    plain: Vec<u8>,
    sequence: u16,
}

impl Source {
    fn new() -> Self {
        let mut plain = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        plain.resize(12 + PAYLOAD, 0xd5);
        Self { plain, sequence: 0 }
    }

    fn next(&mut self, packet: &mut PacketBuf) {
        self.sequence = self.sequence.wrapping_add(1);
        self.plain[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet.fill(&self.plain);
    }
}

fn bench_pair<S: Srtp>(c: &mut Criterion, name: &str, new: impl Fn() -> S) {
    let mut packet = PacketBuf::new();
    let (mut source, mut sender) = (Source::new(), new());
    let mut protect = || {
        source.next(&mut packet);
        sender.protect_rtp(black_box(&mut packet)).expect("the sequence goes up");
    };
    counting::report(&format!("{name} protect"), &mut protect);
    c.bench_function(&format!("{name}/protect"), |b| b.iter(&mut protect));

    // A receiver has to hear its sender from the start, so both are new.
    let (mut source, mut sender, mut receiver) = (Source::new(), new(), new());
    let mut both = || {
        source.next(&mut packet);
        sender.protect_rtp(&mut packet).expect("the sequence goes up");
        receiver.unprotect_rtp(black_box(&mut packet)).expect("it is authentic");
    };
    counting::report(&format!("{name} protect and unprotect"), &mut both);
    c.bench_function(&format!("{name}/protect+unprotect"), |b| b.iter(&mut both));
}

fn benches(c: &mut Criterion) {
    for suite in [Suite::AesCm128Sha1Tag80, Suite::AeadAes128Gcm] {
        let keys = Keys::from_random(suite, &[7; MAX_MASTER]);
        bench_pair(c, &format!("inplace/{suite}"), || Context::new(keys.clone()));
        bench_pair(c, &format!("reference/{suite}"), || Reference::new(&keys).expect("there is no MKI"));
    }
}

criterion_group!(all, benches);
criterion_main!(all);

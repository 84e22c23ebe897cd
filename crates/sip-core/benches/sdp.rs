//! What a session description costs on its way from one leg to the other.

use std::hint::black_box;
use std::net::IpAddr;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use sip_core::message::{Transport, lex};
use sip_core::sdp::{LegSdp, LocalMedia, MediaProfile, SessionDescription};

const INVITE: &[u8] = include_bytes!("invite.sip");

/// Measures `work` and prints what it allocates.
fn measured(c: &mut Criterion, name: &str, mut work: impl FnMut()) {
    println!("{name}: {} allocations", allocation_counter::measure(&mut work).count_total);
    c.bench_function(name, |b| b.iter(&mut work));
}

fn sdp(c: &mut Criterion) {
    let invite = lex(Bytes::from_static(INVITE), Transport::Datagram).expect("the example is a message");
    let body = invite.body();
    let read = || {
        let description = SessionDescription::parse(black_box(body)).expect("the example is a description");
        let (at, media) = description.audio().expect("the example has audio");
        (description, at, media)
    };
    let local = LocalMedia {
        ip: IpAddr::from([198, 51, 100, 7]),
        rtp_port: 20_000,
        rtcp_port: 20_001,
        rtcp_mux: false,
        profile: MediaProfile::Avp,
        crypto: Vec::new(),
    };
    measured(c, "sdp/read, choose the audio", || {
        black_box(read());
    });
    let (offer, at, _) = read();
    measured(c, "sdp/write the offer for the other leg", || {
        black_box(LegSdp::new(1).write_offer(black_box(&offer), at, &local));
    });
    measured(c, "sdp/write the answer for the first leg", || {
        let mut leg = LegSdp::new(1);
        leg.received(&offer, at);
        black_box(leg.write_answer(black_box(&offer), at, &local));
    });
}

criterion_group!(benches, sdp);
criterion_main!(benches);

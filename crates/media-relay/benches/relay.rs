//! A packet's whole way through a call, without the system calls: classify, unprotect, latch, protect.

mod counting;

use criterion::{Criterion, criterion_group, criterion_main};
use media_relay::packet::PacketBuf;
use media_relay::session::{Channel, Flow, Hosts, Relay, Remote, Security, Side, Terms, Verdict};
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Context, Keys, Srtp, Suite};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn keys(number: u8) -> Keys {
    Keys::from_random(Suite::AesCm128Sha1Tag80, &[number; MAX_MASTER])
}

fn terms(port: u16, security: Option<Security>) -> Terms {
    let rtp = Some(SocketAddr::from(([192, 0, 2, 1], port)));
    Terms {
        remote: Remote { rtp, rtcp: None, is_mux: true, flow: Flow::SendRecv },
        hosts: Hosts::signalling([192, 0, 2, 1].into()),
        security,
        payloads: Vec::new(),
    }
}

/// Relays from near to far; `sender` protects what near sends, if near is encrypted.
fn bench_way(c: &mut Criterion, name: &str, near: Terms, far: Terms, mut sender: Option<Context>) {
    let mut now = Instant::now();
    let source = near.remote.rtp.expect("it was given");
    let mut relay = Relay::new(1);
    relay.apply(now, Side::Near, &near);
    relay.apply(now, Side::Far, &far);
    let mut plain = [0xd5; 172];
    plain[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let mut sequence = 0u16;
    let mut packet = PacketBuf::new();
    let mut pass = || {
        sequence = sequence.wrapping_add(1);
        now += Duration::from_millis(20);
        plain[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet.fill(&plain);
        if let Some(sender) = &mut sender {
            sender.protect_rtp(&mut packet).expect("the sequence goes up");
        }
        let verdict = relay.handle_packet(now, Side::Near, source, Channel::Rtp, black_box(&mut packet));
        assert!(matches!(verdict, Verdict::Forward { .. }));
    };
    counting::report(name, &mut pass);
    c.bench_function(name, |b| b.iter(&mut pass));
}

fn benches(c: &mut Criterion) {
    let secure = |send, receive| Some(Security { send: keys(send), receive: keys(receive) });
    bench_way(c, "relay/RTP to RTP", terms(1000, None), terms(2000, None), None);
    bench_way(c, "relay/RTP to SRTP", terms(1000, None), terms(2000, secure(1, 2)), None);
    let sender = || Some(Context::new(keys(4)));
    bench_way(
        c,
        "relay/SRTP (protected here too) to RTP",
        terms(1000, secure(3, 4)),
        terms(2000, None),
        sender(),
    );
    bench_way(
        c,
        "relay/SRTP (protected here too) to SRTP",
        terms(1000, secure(3, 4)),
        terms(2000, secure(1, 2)),
        sender(),
    );
}

criterion_group!(all, benches);
criterion_main!(all);

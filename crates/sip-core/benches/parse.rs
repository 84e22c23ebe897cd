//! What reading a message costs, beside rsip's reading of the same octets.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sip_core::auth::DigestResponse;
use sip_core::message::{Name, Transport, lex, rsip_reads, validate};

const INVITE: &[u8] = include_bytes!("invite.sip");
const REGISTER: &[u8] = include_bytes!("register.sip");

/// Reads, validates and looks at what every request is asked for.
fn read(bytes: &Bytes) {
    let message = lex(bytes.clone(), Transport::Datagram).expect("the example is a message");
    validate(&message).expect("the example is valid");
    black_box((message.top_via(), message.from(), message.to(), message.call_id(), message.cseq()));
    if let Some(value) = message.header(Name::Authorization) {
        black_box(DigestResponse::parse(value).expect("the example has credentials"));
    }
}

fn parse(c: &mut Criterion) {
    for (name, octets) in [("INVITE", INVITE), ("REGISTER", REGISTER)] {
        let bytes = Bytes::from_static(octets);
        let ours = allocation_counter::measure(|| read(&bytes)).count_total;
        let theirs = allocation_counter::measure(|| assert!(rsip_reads(octets))).count_total;
        println!("{name}: {} octets, {ours} allocations; rsip {theirs}", octets.len());
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("lex, validate, look", |b| b.iter(|| read(black_box(&bytes))));
        group.bench_function("lex", |b| b.iter(|| lex(black_box(bytes.clone()), Transport::Datagram)));
        group.bench_function("rsip", |b| b.iter(|| rsip_reads(black_box(octets))));
        group.finish();
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);

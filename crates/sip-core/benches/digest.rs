//! What proving and checking a password costs: reading the field, hashing, and the nonce that carries its own proof.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use sip_core::auth::{Algorithm, Challenge, DigestResponse, NonceKey, challenge_value, ha1, verify};
use sip_core::auth::{NonceState, Staleness};

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 20));
const NOW: u64 = 1_700_000_000;
const LIFETIME_S: u64 = 300;

/// Measures `work` and prints what it allocates.
fn measured(c: &mut Criterion, name: &str, mut work: impl FnMut()) {
    println!("{name}: {} allocations", allocation_counter::measure(&mut work).count_total);
    c.bench_function(name, |b| b.iter(&mut work));
}

fn digest(c: &mut Criterion) {
    let key = NonceKey::new([7; 32]);
    let nonce = key.issue(NOW, SOURCE, 1);
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let name = algorithm.as_str();
        let challenge = challenge_value("sip.example.com", &nonce, algorithm, Staleness::Fresh);
        let challenge = Challenge::parse(&challenge).expect("we can read our challenge");
        let answer = || challenge.answer("REGISTER", "sip:sip.example.com", "user", "secret", "0a4f113b", 1);
        let value = answer();
        let secret = ha1(algorithm, "user", "sip.example.com", "secret");
        measured(c, &format!("digest/{name} answer"), || {
            black_box(answer());
        });
        measured(c, &format!("digest/{name} read and verify"), || {
            let response = DigestResponse::parse(black_box(&value)).expect("we can read our answer");
            assert!(verify(&response, "REGISTER", &secret));
        });
    }
    measured(c, "digest/nonce issue", || {
        black_box(key.issue(NOW, SOURCE, black_box(2)));
    });
    measured(c, "digest/nonce check", || {
        assert!(matches!(key.check(black_box(&nonce), NOW, SOURCE, LIFETIME_S), NonceState::Fresh));
    });
}

criterion_group!(benches, digest);
criterion_main!(benches);

//! The whole gateway in a simulated world: a virtual clock, a lossy network, scripted PBXs and carriers, the real
//! signalling, the real media sessions, the real rules of the ledger; and everything that can go wrong with them.
//!
//! After every step the checks look at money, channels, media and answers. A failure prints its seed, and
//! `SEED=... cargo test --test sim` replays exactly that run; `SEEDS=10000 cargo test --test sim storms` tries more
//! of them than the usual two hundred.

mod agent;
mod books;
mod checks;
mod desk;
mod dice;
mod faults;
mod lines;
mod network;
mod provisioning;
mod scenarios;
mod studio;
mod world;

/// The seed to replay, if one is asked for.
fn seed() -> Option<u64> {
    number("SEED")
}

/// How many seeds to try.
fn seeds() -> u64 {
    number("SEEDS").unwrap_or(200)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

//! Replays the seeds and the kept corpus of every fuzz target.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one target: `seeds/` were written by hand, `corpus/` was found by the fuzzer.
fn inputs(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = ["seeds", "corpus"]
        .iter()
        .filter_map(|folder| fs::read_dir(root.join(folder).join(target)).ok())
        .flatten()
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

/// Calls the property with each file. A panic names the file by the output captured before it.
fn replay(target: &str, check: fn(&[u8])) {
    let files = inputs(target);
    assert!(!files.is_empty(), "{target} has no inputs");
    for file in files {
        println!("{}", file.display());
        check(&fs::read(&file).expect("the file can be read"));
    }
}

#[cfg(feature = "configuration")]
#[test]
fn configuration() {
    replay("configuration", sipgw_fuzz::configuration::check);
}

#[test]
fn digest() {
    replay("digest", sipgw_fuzz::digest::check);
}

#[test]
fn framing() {
    replay("framing", sipgw_fuzz::framing::check);
}

#[test]
fn message() {
    replay("message", sipgw_fuzz::message::check);
}

#[test]
fn packet() {
    replay("packet", sipgw_fuzz::packet::check);
}

#[test]
fn sdp() {
    replay("sdp", sipgw_fuzz::sdp::check);
}

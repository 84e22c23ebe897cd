//! The command line as a program among others.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../crates/provisioning-store/tests/store/server.rs"]
mod server;

use std::io::{PipeWriter, pipe};
use std::process::{Command, Stdio};

use serde_json::Value;
use sipgw::config::Config;
use sipgw::daemon::Daemon;

use crate::server::Fresh;

/// Runs sipgw on this configuration, with an environment that says nothing of it.
fn sipgw(config: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sipgw"));
    command.arg("--config").arg(config).env_clear().stdin(Stdio::null());
    command
}

/// A pipe whose reader has had enough, as `head` has after ten lines.
fn closed() -> PipeWriter {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer
}

fn configuration(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let file = folder.path().join("sipgw.yaml");
    let text = "node: {domain: a.b}\nsip: {listen: [{transport: udp, address: \"127.0.0.1:5060\"}]}\n\
                media: {addresses: [{bind: 127.0.0.1}]}\n";
    std::fs::write(&file, text).expect("it can be written");
    file
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = configuration(&folder);
    for form in [&[][..], &["--json"][..]] {
        let output = sipgw(&file).arg("check").args(form).stdout(closed()).stderr(Stdio::piped()).output();
        let output = output.expect("it starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{form:?}");
        assert_eq!(output.status.code(), Some(0), "{form:?}");
    }
}

#[test]
fn a_failure_that_nobody_hears_has_its_exit_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = sipgw(&folder.path().join("absent.yaml")).arg("check").stderr(closed()).status();
    assert_eq!(status.expect("it starts").code(), Some(3));
}

/// Runs a command on a configuration, with this database on PostgreSQL if there is one. Gives what it prints, or how it
/// failed and what it said.
fn told(config: &std::path::Path, database: Option<&Fresh>, words: &[&str]) -> Result<Value, (i32, String)> {
    let mut command = sipgw(config);
    if let Some(database) = database {
        command.env("SIPGW__STORE__URL", database.url());
    }
    let output = command.arg("--json").args(words).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap_or_default()),
        code => Err((code.unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

#[test]
fn an_installation_moves_to_postgresql_and_the_gateway_runs_there() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Fresh::new());
    let file = folder.path().join("sipgw.yaml");
    let text = "node: {domain: a.b}\nsip: {listen: [{transport: udp, address: \"127.0.0.1:0\"}]}\n\
                media: {addresses: [{bind: 127.0.0.1}], ports: 33600-33619, workers: 1}\n\
                store: {path: sipgw.db, key_file: sipgw.key}\nhttp: {listen: \"127.0.0.1:0\"}\n";
    std::fs::write(&file, text).unwrap();
    let company = ["company", "create", "Architects", "--country", "US", "--currency", "USD"];
    told(&file, None, &company).unwrap();
    told(&file, None, &["company", "top-up", "1", "100.00"]).unwrap();
    told(&file, None, &["profile", "create", "1", "Sales", "--channels", "4"]).unwrap();
    let before = told(&file, None, &["profile", "list"]).unwrap();

    let (code, said) = told(&file, None, &["db", "copy"]).unwrap_err();
    assert!(code == 1 && said.contains("store.url"), "{code} {said}");
    let moved = told(&file, Some(&database), &["db", "copy"]).unwrap();
    assert_eq!(moved["rows"]["companies"], 1, "{moved}");
    let (_, said) = told(&file, Some(&database), &["db", "copy"]).unwrap_err();
    assert!(said.contains("in use"), "{said}");
    assert_eq!(told(&file, Some(&database), &["profile", "list"]).unwrap(), before);
    assert_eq!(told(&file, Some(&database), &["books", "verify"]).unwrap()["is_sound"], true);
    told(&file, Some(&database), &["company", "top-up", "1", "1.00"]).unwrap();
    assert_ne!(told(&file, Some(&database), &["company", "list"]), told(&file, None, &["company", "list"]));

    let mut config = Config::load(&file).unwrap();
    config.store.url = Some(sipgw::config::Secret::new(database.url()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let daemon = Daemon::start(config.clone()).await.unwrap();
        // Another machine has another lock file, and the same database.
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join("sipgw.key"), elsewhere.path().join("sipgw.key")).unwrap();
        let other = Config { directory: elsewhere.path().into(), ..config };
        let refused = Daemon::start(other).await.err().unwrap().to_string();
        assert!(refused.contains("another gateway"), "{refused}");
        daemon.stop().await;
    });
}

#[test]
fn a_key_that_is_missing_is_not_replaced_beside_a_database_on_a_server() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Fresh::new());
    let file = configuration(&folder);
    let text = std::fs::read_to_string(&file).unwrap() + "store: {path: sipgw.db, key_file: sipgw.key}\n";
    std::fs::write(&file, text).unwrap();
    told(&file, Some(&database), &["company", "list"]).unwrap();
    let key = folder.path().join("sipgw.key");
    std::fs::remove_file(&key).unwrap();
    let (_, said) = told(&file, Some(&database), &["company", "list"]).unwrap_err();
    assert!(said.contains("restore it") && !key.exists(), "{said}");
    assert!(!said.contains("postgres://"), "{said}");
}

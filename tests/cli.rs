//! The command line as a program among others.

use std::io::{PipeWriter, pipe};
use std::process::{Command, Stdio};

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

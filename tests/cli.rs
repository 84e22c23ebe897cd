//! The command line as a program among others.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../crates/provisioning-store/tests/store/server.rs"]
mod server;

use std::io::{PipeWriter, pipe};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sipgw::config::Config;
use sipgw::daemon::Daemon;

use crate::server::Fresh;

/// Runs sipgw on this configuration, with an environment that says nothing of it.
fn sipgw(config: &Path) -> Command {
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

fn configuration(folder: &tempfile::TempDir) -> PathBuf {
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
fn told(config: &Path, database: Option<&Fresh>, words: &[&str]) -> Result<Value, (i32, String)> {
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
    told(&file, None, &["profile", "create", "1", "Sales", "--channels", "4", "--yes"]).unwrap();
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

/// A configuration with its database in this folder, and RTP ports of its own.
fn installation(folder: &tempfile::TempDir, rtp_ports: &str) -> PathBuf {
    let file = folder.path().join("sipgw.yaml");
    let text = format!(
        "node: {{domain: a.b}}\nsip: {{listen: [{{transport: udp, address: \"127.0.0.1:0\"}}]}}\n\
         media: {{addresses: [{{bind: 127.0.0.1}}], ports: {rtp_ports}, workers: 1}}\n\
         store: {{path: sipgw.db, key_file: sipgw.key, synchronous: normal}}\n\
         http: {{listen: \"127.0.0.1:0\", token: the-operators-token}}\ncalls: {{drain_s: 0}}\n"
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("rates.csv"), RATES).unwrap();
    file
}

const RATES: &str =
    "prefix,destination,country,rate_per_minute\n1,United States,US,0.008\n372,Estonia,EE,0.02\n";

/// Runs `work` while a gateway runs on this configuration.
fn while_it_runs(file: &Path, work: impl FnOnce(&Daemon)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let daemon = runtime.block_on(Daemon::start(Config::load(file).unwrap())).unwrap();
    work(&daemon);
    runtime.block_on(daemon.stop());
}

/// What commands of every kind, one after the other, print, and with which status they end.
fn transcript(folder: &tempfile::TempDir, file: &Path) -> String {
    let mut transcript = String::new();
    for line in COMMANDS.lines() {
        let rates = folder.path().join("rates.csv");
        let words = line.split_whitespace().map(|word| match word {
            "RATES" => rates.to_str().unwrap().to_owned(),
            word => word.replace('_', " "),
        });
        let output = sipgw(file).args(words).output().unwrap();
        let (said, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        transcript += &format!("$ {line}\n{said}{complaint}= {}\n", output.status.code().unwrap());
    }
    transcript
}

/// A word with `_` in it has spaces there.
const COMMANDS: &str = "\
company list
company create Architects --country US
company create Importers --country DE --currency EUR
company create Builders --country DE
company top-up architects 200.00 --note by_wire
company top-up 2 20
company top-up Nobody 1
company verify Architects --by Ms_Morel
company landline Architects +12025550123
company landlines
company administrator set Architects ada@architects.example Ada
company administrator list Architects
company payment ask Architects 10.00
company payment paid 1 --reference R-1
company payment failed 1
company payment list
company payment recharge Architects --below 5 --amount 50
company rename Builders Masons
company rename Masons architects
company rename Masons 2
company rename Masons Builders
company suspend Builders --reason unpaid
company resume Builders
company correct Architects -5.00 --reason booked_twice
company correct Architects -5000.00 --reason too_much
company credit-note Architects 1.50 --reason dropped_calls
company list
rates import RATES
rates import RATES --list cheap --from 2030-01-01
rates lists
rates import RATES --list cheap --dry-run
rates import RATES --list cheap
rates undo --list cheap
rates undo --list cheap --yes
rates undo --list cheap --yes
rates list
rates quote +3725551234
rates quote +999
company price-list Architects cheap
company price-list Architects dear
profile create Architects Sales --channels 4 --bundles 1 --credit 10
profile create Architects Sales --channels 4 --bundles 1 --credit 10 --yes
profile create Architects Poor --channels 4 --credit 1000000 --yes
profile create Builders Site
profile set Sales --srtp required --presentation e164 --caller-name off
profile suspend Sales --reason fraud
profile resume Sales
profile rename Site Building_Site
profile channels Building_Site 400
profile credit add Sales 5.50
profile credit take-back Sales 1
profile recharge Sales --below 1 --amount 2
profile guard set Sales --day-cap 20 --denied CU --warn-percent none
profile guard show Sales
profile allow Sales 203.0.113.0/28 --transport tls
profile allowed
profile disallow Sales 203.0.113.0/28
profile disallow Sales 203.0.113.0/28
profile allow Sales 0.0.0.0/0 --certificate PBX.example.com
profile allow Sales 0.0.0.0/0 --certificate other.example.com
profile allow Sales 0.0.0.0/0 --certificate *.example.com
profile disallow Sales 0.0.0.0/0 --certificate other.example.com
profile allowed
number offer +12026843300 --country US --fee 6.00
number offers --country US
number buy Architects +12026843300
number buy Architects +12026843300 --yes
number cancel +12026843300
number cancel +12026843300 --yes
number keep +12026843300 --yes
number add Architects +12026843376 --country US
number assign +12026843376 --profile Sales
profile caller-id Sales +12026843376
profile caller-id Sales +12025550123 --landline --country EE
profile caller-ids
account add Architects architects.sales --extension 700
account attach architects.sales Sales
account list
account button architects.sales
number assign +12026843300 --account architects.sales
number list
carrier add wholesale 203.0.113.5 --port 5080 --source 198.51.100.0/24
carrier change wholesale --no-port --priority 5 --trust untrusted
carrier disable wholesale
carrier enable wholesale
carrier remove wholesale
carrier remove wholesale --yes
profile rehearse Sales 3725551234
profile cancel Sales
profile cancel Sales --yes
profile extend Sales
profile extend Sales --yes
account detach architects.sales
account remove architects.sales --yes
number remove +12026843376
number remove +12026843376 --yes
number withdraw +12026843300
report statement Architects 2020-01
report usage Sales 2020-01 --csv
report allocations Sales 2020-01
cdr list --profile Sales --unanswered
cdr show nothing
token create Console --company Architects --days 7
token list --company Architects
token revoke 1
token revoke 1 --yes
profile delete Sales
profile delete Sales --yes
profile list
profile show Nobody
registrations
books verify
";

/// Without what differs from run to run: times, drawn names and secrets.
fn anonymous(transcript: &str) -> String {
    let mut drawn = String::new();
    for line in transcript.lines() {
        let line =
            if line.starts_with("Password  ") || line.starts_with("Secret    ") { "(secret)" } else { line };
        let words = line.split_whitespace().map(|word| {
            let is_drawn = word.starts_with("990500") && word.len() >= 14;
            let is_time = word.starts_with("20") && word.contains(['-', ':']) && word.len() >= 8
                || word.len() >= 8 && word.as_bytes()[2] == b':';
            if is_drawn || is_time { "~" } else { word }
        });
        drawn += &(words.collect::<Vec<_>>().join(" ") + "\n");
    }
    drawn
}

#[test]
fn a_command_does_the_same_with_a_gateway_and_without_one() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = installation(&here, "33620-33639");
    let at_rest = transcript(&here, &file);
    let file = installation(&there, "33640-33659");
    let mut running = String::new();
    while_it_runs(&file, |_| running = transcript(&there, &file));
    // What only a gateway that runs can know.
    let at_rest = at_rest.replace("No gateway answers; these were registered when one ran last.\n", "");
    let (at_rest, running) = (anonymous(&at_rest), anonymous(&running));
    for (one, other) in at_rest.lines().zip(running.lines()) {
        assert_eq!(one, other, "{running}");
    }
    assert_eq!(at_rest.len(), running.len());
    assert!(!running.contains("= 4"), "something did not answer:\n{running}");
    for wanted in [
        "there is no company \"Nobody\"",
        "Estonia: 0.02 a minute",
        "say --yes if this is meant",
        "does not pay 1000000.00",
        "Sales is known at 0.0.0.0/0 with the certificate of pbx.example.com.",
        "\"*.example.com\" is no DNS name like pbx.example.com",
        // A profile whose credit was refused is not there.
        "Profile Site (2)",
        "The books are sound.",
    ] {
        assert!(running.contains(wanted), "{wanted} is not in\n{running}");
    }
}

/// Asks the API.
fn asked(daemon: &Daemon, path: &str, token: &str) -> Value {
    let url = format!("http://{}/api/v1{path}", daemon.http());
    let request = ureq::get(&url).header("authorization", format!("Bearer {token}"));
    request.call().unwrap().body_mut().read_json().unwrap()
}

#[test]
fn what_a_command_changes_holds_at_once_and_the_company_sees_who_did_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = installation(&folder, "33660-33679");
    let run = |words: &[&str]| told(&file, None, words);
    run(&["company", "create", "Architects", "--country", "US"]).unwrap();
    run(&["company", "top-up", "1", "100"]).unwrap();
    while_it_runs(&file, |daemon| {
        let socket = folder.path().join("sipgw.db.socket");
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let made = run(&["token", "create", "Ada", "--company", "Architects"]).unwrap();
        let token = made["secret"].as_str().unwrap();
        run(&["profile", "create", "Architects", "Sales", "--channels", "4", "--credit", "10", "--yes"])
            .unwrap();
        let profile = &asked(daemon, "/profiles", token)["items"][0];
        assert_eq!(profile["credit"]["amount"], "10.00", "{profile}");
        run(&["number", "add", "Architects", "+12026843376", "--country", "US"]).unwrap();
        run(&["number", "assign", "+12026843376", "--profile", "Sales"]).unwrap();
        // Calls are routed by the gateway's directory, and so is the rehearsal of one.
        let begun = Instant::now();
        let rehearsed = || asked(daemon, "/profiles/1/rehearsal?number=12026843376", token);
        while rehearsed()["kind"] != "on_net" {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", rehearsed());
        }
        let trail = asked(daemon, "/audit", token);
        let assigned = &trail["items"][0];
        assert_eq!(assigned["action"], "PUT /api/v1/numbers/1/target", "{trail}");
        assert_eq!((&assigned["origin"], &assigned["company"]), (&"command line".into(), &1.into()));
        assert!(assigned["actor"].as_str().unwrap().starts_with("user "), "{assigned}");
        let (code, said) = run(&["schedule", "confirm"]).unwrap_err();
        assert!(code == 1 && said.contains("say --yes"), "{code} {said}");
        assert_eq!(run(&["schedule", "confirm", "--yes"]).unwrap()["is_clock_in_doubt"], false);
    });
    assert!(!folder.path().join("sipgw.db.socket").exists(), "the socket is left behind");
    assert_eq!(run(&["profile", "list"]).unwrap()["items"][0]["credit"]["amount"], "10.00");
    let (code, said) = run(&["calls", "live"]).unwrap_err();
    assert!(code == 4 && said.contains("no running gateway answers"), "{code} {said}");
}

//! What the machine has is used up: ports, calls, file descriptors. What runs goes on, and what is new is told why not.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpSocket;

use super::*;
use crate::config::{ListenConfig, TransportName};

async fn soon(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = timeout(SOON, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("not seen: {what}"));
}

/// A gateway with ports for two calls to the echo. So many run, and the next caller gets this answer.
async fn the_next_call_is_refused(rtp_ports: &str, calls: Option<usize>, running: usize, code: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), rtp_ports);
    config.sip.limits.calls = calls;
    let daemon = Daemon::start(config).await.unwrap();
    let credentials = provision_channels(&daemon, 5).await;
    let mut callers = Vec::new();
    for name in ["one", "two", "three"].into_iter().take(running + 1) {
        callers.push(Pbx { name, ..Pbx::new(&daemon, credentials.clone()).await });
    }
    let late = callers.pop().unwrap();
    callers[0].register().await;
    let mut answers = Vec::new();
    for caller in &callers {
        let answer = caller.call("17606604690", 4000).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        answers.push(answer);
    }
    let refusal = late.call("17606604690", 4002).await;
    assert!(refusal.starts_with("SIP/2.0 503"), "{refusal}");
    assert_eq!(header(&refusal, "X-Sipgw-Reason"), code);
    assert_eq!(metric(&daemon, "sipgw_table_entries{table=\"bindings\"}").await, 1);
    let leases = async || daemon.store().live_calls().await.unwrap().len();
    soon("the channel of the refused call", async || leases().await == running).await;
    for (caller, answer) in callers.iter().zip(&answers) {
        caller.hang_up(answer).await;
    }
    soon("the channels of the others", async || leases().await == 0).await;
    soon("their ports", async || ports_in_use(&daemon).await == 0).await;
    daemon.stop().await;
}

async fn ports_in_use(daemon: &Daemon) -> usize {
    metric(daemon, "sipgw_relay_ports_in_use").await
}

/// What the page of metrics says.
async fn metric(daemon: &Daemon, name: &str) -> usize {
    let url = format!("http://{}/metrics", daemon.http());
    let page = tokio::task::spawn_blocking(move || {
        ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap()
    });
    let page = page.await.unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("the metric").parse().unwrap()
}

#[tokio::test]
async fn a_call_without_ports_is_refused_in_its_own_words() {
    the_next_call_is_refused("34200-34203", Some(10), 2, "media_unavailable").await;
}

#[tokio::test]
async fn where_no_number_is_set_as_many_calls_begin_as_the_ports_carry() {
    the_next_call_is_refused("34210-34213", None, 1, "overloaded").await;
}

/// Asks for a process of its own, since the bound on descriptors is the process's.
const ALONE: &str = "SIPGW_TEST_ALONE";

#[test]
fn without_file_descriptors_udp_goes_on_and_accepting_waits() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.unwrap().block_on(lack_of_descriptors());
    }
    let name = "daemon::tests::exhaustion::without_file_descriptors_udp_goes_on_and_accepting_waits";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}

async fn lack_of_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "34220-34239");
    let address = "127.0.0.1:0".parse().unwrap();
    config.sip.listen.push(ListenConfig { transport: TransportName::Tcp, address, advertise: None });
    let daemon = Daemon::start(config).await.unwrap();
    let credentials = provision_channels(&daemon, 5).await;
    let pbx = Pbx::new(&daemon, credentials.clone()).await;
    let late = Pbx { name: "late", ..Pbx::new(&daemon, credentials).await };
    pbx.register().await;
    let sockets: Vec<TcpSocket> = (0..20).map(|_| TcpSocket::new_v4().unwrap()).collect();

    let before = getrlimit(Resource::Nofile);
    let highest = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let highest = highest.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u64>().ok()).max();
    setrlimit(Resource::Nofile, Rlimit { current: Some(highest.unwrap() + 1), ..before }).unwrap();
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();

    let gateway = daemon.listeners()[1].local;
    let mut connected = Vec::new();
    for socket in sockets {
        connected.push(socket.connect(gateway).await.expect("the backlog takes it"));
    }
    let metrics = daemon.metrics().clone();
    let failures = || metrics.accept_failures.with_label_values(&["tcp"]).get();
    soon("a failure to accept", async || failures() > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!((2..15).contains(&failures()), "it waits longer and longer: {}", failures());
    let refusal = pbx.call("17606604690", 4000).await;
    assert!(refusal.starts_with("SIP/2.0 503"), "{refusal}");
    assert_eq!(header(&refusal, "X-Sipgw-Reason"), "media_without_socket");
    let is_settled = async || daemon.store().live_calls().await.unwrap().is_empty();
    soon("the channel of the refused call", is_settled).await;

    drop(held);
    setrlimit(Resource::Nofile, before).unwrap();
    let open = || metrics.connections.with_label_values(&["tcp"]).get();
    soon("the connections", async || open() == 20).await;
    let answer = late.call("17606604690", 4002).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    late.hang_up(&answer).await;
    daemon.stop().await;
}

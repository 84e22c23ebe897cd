//! A gateway in this process, and a client that speaks to it.

use std::time::{Duration, Instant};

use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, Direction, Ending};
use provisioning_store::ledger::LedgerOp;
use provisioning_store::model::{CompanyId, ProfileId, Timestamp};
use serde_json::Value;
use sip_core::Directory;
use sipgw::directory::{self, Shape};
use sipgw::{Config, Daemon};
use tokio::runtime::Runtime;
use ureq::Agent;

/// The configuration's token: an operator's.
pub(crate) const OPERATOR: &str = "the-operators-token";

/// What a payment provider's adapter signs with.
pub(crate) const PAYMENT_SECRET: &str = "the-providers-secret";

/// A running gateway without any call.
pub(crate) struct House {
    pub(crate) runtime: Runtime,
    pub(crate) daemon: Daemon,
    agent: Agent,
    shape: Shape,
    folder: tempfile::TempDir,
}

/// Whose a call was.
pub(crate) enum Whose {
    Profiles(i64),
    /// A company's business account's.
    PhoneOf(i64),
    Nobodys,
}

/// What the gateway said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer, if it has this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A request in the making.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }
}

impl House {
    pub(crate) fn new(rtp_ports: &str) -> Self {
        Self::with(rtp_ports, "")
    }

    /// With more keys in the section `http`.
    pub(crate) fn with(rtp_ports: &str, http: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "node: {{domain: sip.test}}\n\
             sip: {{listen: [{{transport: udp, address: \"127.0.0.1:0\"}}]}}\n\
             media: {{addresses: [{{bind: \"127.0.0.1\"}}], ports: {rtp_ports}, workers: 1}}\n\
             store: {{path: sipgw.db, key_file: sipgw.key, synchronous: normal, patience_ms: 10000}}\n\
             http: {{listen: \"127.0.0.1:0\", token: {OPERATOR}, payment_secret: {PAYMENT_SECRET}{http}}}\n\
             calls: {{drain_s: 0, question_patience_s: 20}}\n"
        );
        let file = folder.path().join("sipgw.yaml");
        std::fs::write(&file, text).unwrap();
        let runtime = Runtime::new().unwrap();
        let config = Config::load(&file).unwrap();
        let shape = Shape::of(&config);
        let daemon = runtime.block_on(Daemon::start(config)).unwrap();
        let settings = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build();
        Self { runtime, daemon, agent: settings.into(), shape, folder }
    }

    /// Where its database is.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends a request below `/api/v1`.
    pub(crate) fn send(&self, ask: &Ask) -> Said {
        let uri = format!("http://{}/api/v1{}", self.daemon.http(), ask.path);
        let mut request = ureq::http::Request::builder().method(ask.method.as_str()).uri(&uri);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(ask.body.as_slice()).unwrap_or_else(|error| panic!("{uri}: {error}"));
        let response = match ask.body.is_empty() {
            true => self.agent.run(request.map(|_| ())),
            false => self.agent.run(request),
        };
        let mut response = response.unwrap_or_else(|error| panic!("{ask:?}: {error}"));
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let kind = headers.iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind.clone());
        Said {
            status: response.status().as_u16(),
            kind: kind.unwrap_or_default(),
            text: response.body_mut().read_to_string().unwrap(),
            headers,
        }
    }

    /// The directory in use, which was built change by change, is the one that a new gateway would build.
    pub(crate) fn directory_is_what_is_provisioned(&self) {
        let store = self.daemon.store();
        let rows = self.runtime.block_on(async {
            let rows = store.load_directory().await.unwrap();
            let begun = Instant::now();
            while self.daemon.metrics().directory_revision.get() < rows.revision {
                assert!(begun.elapsed() < Duration::from_secs(10), "the change is not noticed");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            rows
        });
        let whole = directory::build(&Directory::new(), &rows, &self.shape);
        assert!(*self.daemon.directory() == whole, "{:#?}\n{whole:#?}", self.daemon.directory());
    }

    /// Leaves the record of a call that was not answered.
    pub(crate) fn leave_record(&self, call: &str, whose: Whose, from: &str) {
        self.leave(call, whose, (Direction::Incoming, from, false));
    }

    /// Leaves the record of a call whose caller did not want to be shown.
    pub(crate) fn leave_withheld(&self, call: &str, whose: Whose, direction: Direction, from: &str) {
        self.leave(call, whose, (direction, from, true));
    }

    fn leave(&self, call: &str, whose: Whose, (direction, from, is_withheld): (Direction, &str, bool)) {
        let at = Timestamp::from_unix_s(1_700_000_000);
        let attempt = Attempt {
            direction,
            kind: CallKind::OnNet,
            from: from.into(),
            is_withheld,
            to: "+12026843376".into(),
            destination: String::new(),
            country: "US".into(),
            tariff: None,
            started_at: at,
        };
        let ending = Ending { ended_at: at.plus_s(9), ..Ending::default() };
        let (profile, phone_of) = match whose {
            Whose::Profiles(profile) => (Some(ProfileId(profile)), None),
            Whose::PhoneOf(company) => (None, Some(CompanyId(company))),
            Whose::Nobodys => (None, None),
        };
        let record = Box::new(CallRecord { profile, phone_of, attempt, ending });
        let op = LedgerOp::Void { call: CallId::new(call), record };
        self.runtime.block_on(self.daemon.store().apply_one(at.plus_s(10), op)).unwrap();
    }

    /// What an operator does.
    pub(crate) fn operate(&self, method: &str, path: &str, body: Value) -> Said {
        self.ask(OPERATOR, method, path, body)
    }

    /// What whoever has this token does; without a body if it is null.
    pub(crate) fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Said {
        let ask = Ask::new(method, path).token(token);
        self.send(&if body.is_null() { ask } else { ask.json(&body) })
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.daemon.stop());
    }
}

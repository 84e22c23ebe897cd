//! A PostgreSQL of the tests' own, and a fresh schema in it for each that asks: a tenth of the work that a database is.

#![allow(dead_code, reason = "several test binaries share it, and none of them uses it all")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Started by the first test that needs it. It ends with this process, whose end closes its standard input.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
/// The benchmark of the ledger waits for the disk; the tests do not.
const DISK: &str =
    if matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"ledger") { "fsync=on" } else { "fsync=off" };
static SCHEMAS: AtomicUsize = AtomicUsize::new(1);

struct Server {
    folder: PathBuf,
    _child: Child,
}

impl Server {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("tests/postgres"))
            .find(|script| script.is_file())
            .expect("tests/postgres is at the top of the project");
        let folder = std::env::temp_dir().join(format!("sipgw-postgres-{}", std::process::id()));
        let mut child = Command::new(script)
            .arg(&folder)
            .arg(DISK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/postgres can be started");
        let mut word = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut word).unwrap();
        assert_eq!(word, "ready\n", "PostgreSQL did not start; tests/setup.sh installs it");
        Self { folder, _child: child }
    }

    /// Runs one of its programs, in a schema.
    fn command(&self, schema: &str, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(["-h", self.folder.to_str().unwrap(), "-U", "sipgw", "-d", "postgres"])
            .args(arguments)
            .env("PGOPTIONS", format!("-c search_path={schema}"))
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// The same, and it must succeed.
    fn run(&self, schema: &str, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(schema, program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// A schema of its own.
pub(crate) struct Fresh {
    schema: String,
}

impl Fresh {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let schema = format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        SERVER.run(&schema, "psql", &["-qc", &format!("CREATE SCHEMA {schema}")]);
        Self { schema }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        let (host, schema) = (SERVER.folder.display(), &self.schema);
        format!(
            "postgres://sipgw@localhost/postgres?host={host}&options[search_path]={schema}&application_name={schema}"
        )
    }

    /// What its owner could do by hand: the rows that statements give, or the server's refusal.
    pub(crate) fn by_hand(&self, statements: &str) -> Result<String, String> {
        let output =
            SERVER.command(&self.schema, "psql", &["-v", "ON_ERROR_STOP=1", "-qAt", "-c", statements]);
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// All that is in it.
    pub(crate) fn dump(&self) -> Vec<u8> {
        SERVER.run(&self.schema, "pg_dump", &["-n", &self.schema]).stdout
    }
}

"""The gateway under test: a configuration on free loopback ports, a temporary database, and its command line."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from peers.process import free_port, patience, stop, wait_until
from peers.scenario import Identity

TOP = Path(__file__).resolve().parents[2]

CONFIG = """
node:
  domain: {domain}
sip:
  listen:
    - {{transport: udp, address: "{address}:{udp}"}}
    - {{transport: tcp, address: "{address}:{udp}"}}
    - {{transport: tls, address: "{address}:{tls}"}}
{listen_ipv6}  timers:
    t1_ms: {t1_ms}
tls:
  certificate: tls.crt
  key: tls.key
  authorities: carrier.crt
registration:
  direct_s: 3600
  nat_s: 45
  min_s: 20
calls:
  no_answer_s: {no_answer_s}
  # Longer than a busy machine lets a carrier wait for its turn.
  carrier_patience_s: 4
  question_patience_s: 20
  drain_s: 2
  # What a test wants limited it limits itself.
  new_profiles: {{calls_per_second: 0, premium: allow, hour_cap: null, day_cap: null}}
  new_companies: {{calls_per_second: 0}}
media:
  addresses:
    - {{bind: {address}}}
{media_ipv6}  ports: {rtp}-{rtp_end}
  workers: 1
store:
  path: sipgw.db
  key_file: sipgw.key
  # The tests ask what was booked, not what survives a power failure.
  synchronous: normal
  # A disk that somebody else is writing to can take seconds.
  patience_ms: {store_patience_ms}
http:
  listen: 127.0.0.1:{http}
log:
  level: debug,sqlx=warn
"""

COMPANY = "Architects"

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def in_micros(said):
    """What a command says, with amounts and moments as whole numbers: `credit` 6.95 USD is `credit_micros` 6950000."""
    if isinstance(said, list):
        return [in_micros(one) for one in said]
    if not isinstance(said, dict):
        return said
    plain = {}
    for name, value in said.items():
        if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
            plain[f"{name}_micros"] = int(Decimal(value["amount"]) * 1_000_000)
        elif name.endswith("_at"):
            plain[f"{name}_micros"] = value and (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
        else:
            plain[name] = in_micros(value)
    return plain

# Where calls from the telephone network come from.
OUTSIDE = "127.0.0.8"

LOOPBACK6 = "::1"

RATES = """prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s
1,United States,US,0.008,0,30,6
372,Estonia,EE,0.04,0,30,6
44,United Kingdom,GB,0.02,0,30,6
8816,Steep,,120.00,0,1,1
"""


def binary() -> Path:
    """The daemon: named by SIPGW_BINARY, else the newest build."""
    named = os.environ.get("SIPGW_BINARY")
    if named:
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    built = [path for kind in ("debug", "release") if (path := target / kind / "sipgw").exists()]
    assert built, f"no sipgw under {target}; run cargo build first"
    return max(built, key=lambda path: path.stat().st_mtime)


def make_certificate(certificate: Path, key: Path, name: str, address: str):
    """A certificate that is its own authority, good for this name and this address."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:{address}"]
        # rustls takes no authority for a server, even one that stands for itself alone.
        + ["-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=patience(20),
    )


@dataclass(frozen=True)
class Profile(Identity):
    """A SIP profile, and so the identity of its PBX."""

    id: int = 0
    name: str = ""


@dataclass
class Gateway:
    """One running daemon. Use it in a `with`."""

    folder: Path
    no_answer_s: int = 20
    t1_ms: int = 500
    store_patience_ms: int = 10_000
    ipv6: bool = False
    address: str = "127.0.0.1"
    domain: str = "sip.test"

    def __post_init__(self):
        self.udp, self.tls, self.http = free_port(), free_port(), free_port()
        self.rtp = free_port(span=64)
        self.config = self.folder / "sipgw.yaml"
        self.certificate = self.folder / "tls.crt"
        self.carrier_certificate, self.carrier_key = self.folder / "carrier.crt", self.folder / "carrier.key"
        self.log = self.folder / "sipgw.log"
        self._company: int | None = None
        self._process: subprocess.Popen | None = None

    @property
    def sip(self) -> str:
        """Where SIP over UDP and TCP reaches it."""
        return f"{self.address}:{self.udp}"

    def __enter__(self):
        make_certificate(self.certificate, self.folder / "tls.key", self.domain, self.address)
        make_certificate(self.carrier_certificate, self.carrier_key, "carrier.test", "127.0.0.2")
        listen = f'    - {{transport: udp, address: "[{LOOPBACK6}]:{self.udp}"}}\n' if self.ipv6 else ""
        media = f'    - {{bind: "{LOOPBACK6}"}}\n' if self.ipv6 else ""
        facts = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        self.config.write_text(CONFIG.format(**facts, rtp_end=self.rtp + 63, listen_ipv6=listen, media_ipv6=media))
        self.set_up_company()
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ensure_running(self):
        """Starts it when the first peer needs it, so that what is set up before needs no waiting for."""
        if self._process is None:
            self.start()

    def start(self):
        self._out = open(self.log, "ab")
        self._process = subprocess.Popen(
            [binary(), "run", "--config", self.config],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            cwd=self.folder,
            # Ignored as in this program, a limit of a file's size is an error, as a full disk is, and no signal.
            restore_signals=False,
        )
        try:
            wait_until(self._is_ready, "the gateway to be ready", 10)
        except AssertionError as late:
            stop(self._process)
            raise AssertionError(f"{late}\n{self.log_tail()}") from None

    def stop(self):
        """Stops it as systemd would; it must end by itself and without complaint."""
        status = stop(self._process, signal.SIGTERM, patience=8)
        self._process = None
        self._out.close()
        assert status == 0, f"the gateway ended with {status}\n{self.log_tail()}"

    def __exit__(self, kind, *_):
        if self._process is None:
            return
        if kind is not None:
            stop(self._process)
            self._out.close()
            return
        self.stop()
        assert "panicked" not in self.log.read_text(errors="replace"), self.log_tail()

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def crash(self):
        """Ends it without any chance to tidy up."""
        stop(self._process, signal.SIGKILL)
        self._process = None
        self._out.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, f"the gateway ended at once\n{self.log_tail()}"
        try:
            return self.page("/readyz") is not None
        except (OSError, urllib.error.URLError):
            return False

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=patience(3)) as answer:
            return answer.read().decode()

    def metric(self, name: str, **labels) -> float:
        """The sum of a metric's series that have these labels."""
        total = 0.0
        for line in self.page("/metrics").splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name:
                has = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if all(has.get(key) == value for key, value in labels.items()):
                    total += float(found[3])
        return total

    def has_settled(self, timeout: float = 8.0):
        """Waits until no call, no channel and no media port is left over."""
        for name in ("sipgw_calls_live", "sipgw_channels_in_use", "sipgw_relay_sessions", "sipgw_lease_mismatch"):
            wait_until(lambda: self.metric(name) == 0, f"{name} to be 0", timeout)

    # Provisioning, as an operator does it.

    def change(self, *words) -> dict | list:
        """A command that changes what is provisioned; returns once the running gateway has taken it over."""
        if not self.is_running:
            return self.cli(*words)
        before = self.metric("sipgw_directory_revision")
        answer = self.cli(*words)
        wait_until(lambda: self.metric("sipgw_directory_revision") != before, f"{words[:2]} to be taken over", 5)
        return answer

    def cli(self, *words) -> dict | list:
        """Runs a command with --json and returns what it prints."""
        done = subprocess.run(
            [binary(), "--config", self.config, "--json", *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience(15),
            cwd=self.folder,
        )
        assert done.returncode == 0, f"sipgw {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
        said = in_micros(json.loads(done.stdout)) if done.stdout.strip() else {}
        return said["items"] if said.keys() == {"items", "next"} else said

    def set_up_company(self):
        """The guide's company, rates, and a carrier that only calls in, from the address OUTSIDE."""
        rates = self.folder / "rates.csv"
        rates.write_text(RATES)
        self.cli("company", "create", COMPANY, "--country", "US")
        self.cli("company", "top-up", COMPANY, "10000")
        self.cli("rates", "import", rates)
        self.cli("carrier", "add", "outside", OUTSIDE)
        self.cli("carrier", "disable", "outside")

    def add_profile(
        self,
        name: str = "Sales",
        *,
        channels: int = 4,
        bundles: int = 0,
        credit: str = "10.00",
        numbers: list[str] = (),
        accounts: dict[str, str | None] | None = None,
        caller_id: str | None = None,
        ip: str | None = None,
        ip_port: int | None = None,
        **settings,
    ) -> Profile:
        """A profile with all that belongs to it; settings are those of `sipgw profile create`."""
        words = ["--channels", channels, "--bundles", bundles, "--yes"]
        words += ["--credit", credit] if float(credit) else []
        words += ["--authentication", "ip"] if ip else []
        words += [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value)]
        made = self.change("profile", "create", COMPANY, name, *words)
        profile = Profile(made["sip_user"], made["domain"], made["password"], id=made["profile"], name=name)
        for number in numbers:
            self.change("number", "add", COMPANY, number, "--country", "US")
            self.change("number", "assign", number, "--profile", profile.id)
        for account, extension in (accounts or {}).items():
            extension = extension and extension.format(user=profile.user)
            self.change("account", "add", COMPANY, account, *(["--extension", extension] if extension else []))
            self.change("account", "attach", account, profile.id)
        if caller_id:
            self.change("profile", "caller-id", profile.id, caller_id)
        if ip:
            self.change("profile", "allow", profile.id, ip, *(["--port", ip_port] if ip_port else []))
        return profile

    def add_carrier(self, name: str, address: str, port: int, *, password: str | None = None, **settings):
        """A carrier that takes calls; settings are those of `sipgw carrier add`."""
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        if password:
            secret = self.folder / f"{name}.password"
            secret.write_text(password)
            words += ["--password-file", secret]
        self.change("carrier", "add", name, address, "--port", port, *words)

    def new_password(self, profile: Profile) -> str:
        return self.change("profile", "new-password", profile.id)["password"]

    def profile(self, profile: Profile) -> dict:
        """A profile as it stands now."""
        [found] = [row for row in self.cli("profile", "list") if row["id"] == profile.id]
        return found

    def cdrs(self) -> list[dict]:
        """All call detail records, oldest first."""
        page = self.cli("cdr", "list")
        rows = page["items"]
        return sorted(rows, key=lambda cdr: cdr["started_at_micros"])

"""The two sides that are compared: sipgw, and Kamailio with rtpengine. Both listen where the scenarios expect it."""

import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from ng import NG_PORT, Ng
from pinned import MEASURED, Pinned, wait_until

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
SIP = ("127.0.0.1", 5060)
DOMAIN = "gw.example.net"
# The carrier has an address of its own, because the gateway knows it by that.
CARRIER = ("127.0.0.2", 5080)
HTTP = 8061
# Both sides know as many users.
USERS = 20_000

CONFIG = f"""
node: {{domain: {DOMAIN}}}
sip:
  listen: [{{transport: udp, address: "{SIP[0]}:{SIP[1]}"}}]
  # All PBXs of a load test come from one address.
  limits: {{requests_per_source: 1000000, requests_per_known_source: 1000000}}
media:
  addresses: [{{bind: {SIP[0]}}}]
  # A port rests after its call, so many calls a second need many of them.
  ports: 10000-64999
  workers: 1
store: {{path: sipgw.db, key_file: sipgw.key, synchronous: full}}
http: {{listen: 127.0.0.1:{HTTP}}}
log: {{level: warn}}
"""

RATES = """prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s
44,United Kingdom,GB,0.02,0,30,6
"""


def built(name: str) -> Path:
    """A release binary; SIPGW_BINARY names another gateway."""
    if name == "sipgw" and "SIPGW_BINARY" in os.environ:
        return Path(os.environ["SIPGW_BINARY"])
    tree = TOP if name == "sipgw" else HERE / "tools"
    return Path(os.environ.get("CARGO_TARGET_DIR", tree / "target")) / "release" / name


class Sipgw:
    """The gateway, with its own database and one carrier."""

    name = "sipgw"

    def __init__(self, folder: Path, carrier_srtp: str = "off"):
        self.folder, self.stock, self.carrier_srtp = folder / "sipgw", folder / "stock", carrier_srtp
        self.users = self.stock / "users.csv"
        self._process: Pinned | None = None

    def _cli(self, folder: Path, *words):
        command = [built("sipgw"), "--config", folder / "sipgw.yaml", *words]
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=60, cwd=folder)

    def _provision(self):
        """The company, rates and profiles, made once; every start begins with a copy."""
        self.stock.mkdir()
        (self.stock / "sipgw.yaml").write_text(CONFIG)
        (self.stock / "rates.csv").write_text(RATES)
        self._cli(self.stock, "company", "create", "Load", "--country", "US")
        self._cli(self.stock, "company", "top-up", "Load", "100000000")
        self._cli(self.stock, "company", "calls-per-second", "Load", "none")
        self._cli(self.stock, "rates", "import", "rates.csv")
        command = [built("provision"), "sipgw.db", "sipgw.key", USERS, self.users]
        subprocess.run(list(map(str, command)), check=True, timeout=600, cwd=self.stock)

    def start(self):
        if not self.users.exists():
            self._provision()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.stock, self.folder)
        carrier = ["carrier", CARRIER[0], "--port", CARRIER[1], "--srtp", self.carrier_srtp]
        self._cli(self.folder, "carrier", "add", *carrier)
        self._process = Pinned([built("sipgw"), "run", "--config", "sipgw.yaml"], MEASURED, self.folder, "sipgw")
        wait_until(self._is_ready, f"sipgw to be ready\n{self._process.log_tail()}", 30)

    def _is_ready(self) -> bool:
        assert self._process.is_running, self._process.log_tail()
        try:
            return bool(self.page("/readyz"))
        except (OSError, urllib.error.URLError):
            return False

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP}{path}", timeout=5) as answer:
            return answer.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.page("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def stop(self):
        # What runs at the end of a step is not waited for.
        self._process.stop(patience=2.0)

    def cpu_s(self) -> float:
        return self._process.cpu_s()

    def call_memory_kib(self) -> float:
        return self._process.rss_kib()

    registration_memory_kib = call_memory_kib


class Kamailio:
    """The peer: proxy, digest, dialog or registrar by `options`, and rtpengine for media."""

    name = "kamailio+rtpengine"

    def __init__(self, folder: Path, *options: str):
        self.folder, self.options = folder / "kamailio", options
        self.users = folder / "kamailio.csv"
        self._processes: list[Pinned] = []

    def start(self):
        self.folder.mkdir(exist_ok=True)
        lines = (f"u{i};[authentication username=u{i} password=pw{i}]\n" for i in range(USERS))
        self.users.write_text("SEQUENTIAL\n" + "".join(lines))
        rtpengine = [Rtpengine.spawn(self.folder)] if "RTPE" in self.options else []
        command = ["kamailio", "-f", HERE / "peers" / "kamailio.cfg", "-DD", "-E", "-n", 4, "-m", 1024, "-M", 32]
        command += ["-Y", self.folder, "-w", self.folder]
        for option in self.options:
            command += ["-A", option]
        self._kamailio = Pinned(command, MEASURED, self.folder, "kamailio")
        self._processes = [self._kamailio, *rtpengine]
        wait_until(self._is_ready, "kamailio to be ready", 20)

    def _is_ready(self) -> bool:
        """It answers an OPTIONS, whatever it says."""
        for process in self._processes:
            assert process.is_running, process.log_tail()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((SIP[0], 0))
            probe.settimeout(0.3)
            via = f"SIP/2.0/UDP {SIP[0]}:{probe.getsockname()[1]};branch=z9hG4bKready;rport"
            lines = [f"OPTIONS sip:{DOMAIN} SIP/2.0", f"Via: {via}", f"From: <sip:a@{DOMAIN}>;tag=1"]
            lines += [f"To: <sip:a@{DOMAIN}>", "Call-ID: ready", "CSeq: 1 OPTIONS", "Max-Forwards: 9", "", ""]
            try:
                probe.sendto("\r\n".join(lines).encode(), SIP)
                return bool(probe.recv(4096))
            except (TimeoutError, ConnectionRefusedError):
                return False

    def stop(self):
        for process in self._processes:
            process.stop()

    def cpu_s(self) -> float:
        return sum(process.cpu_s() for process in self._processes)

    def registration_memory_kib(self) -> float:
        """Of the shared memory, which holds the registrations."""
        command = ["kamcmd", "-s", "unix:/tmp/kambench_ctl", "core.shmmem"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return int(re.search(r"\breal_used: (\d+)", done.stdout)[1]) / 1024


class Rtpengine:
    """The media peer alone, driven by its ng protocol."""

    name = "rtpengine"

    def __init__(self, folder: Path):
        self.folder = folder / "rtpengine"

    @staticmethod
    def spawn(folder: Path) -> Pinned:
        # Without its configuration file: Debian's names a kernel table and ports that another one may hold.
        command = ["rtpengine", "--foreground", "--config-file=none", "--table=-1", "--num-threads=1"]
        command += [f"--interface={SIP[0]}", f"--listen-ng={SIP[0]}:{NG_PORT}", "--log-level=3", "--log-stderr"]
        command += ["--port-min=10000", "--port-max=64999", "--delete-delay=0", "--timeout=3600"]
        process = Pinned(command, MEASURED, folder, "rtpengine")
        try:
            wait_until(lambda: process.is_running and Ng.answers(), "rtpengine to answer", 10)
        except RuntimeError as late:
            process.stop()
            raise RuntimeError(f"{late}\n{process.log_tail()}") from None
        return process

    def start(self):
        self.folder.mkdir(exist_ok=True)
        self._process = self.spawn(self.folder)

    def stop(self):
        self._process.stop()

    def cpu_s(self) -> float:
        return self._process.cpu_s()

    def call_memory_kib(self) -> float:
        return self._process.rss_kib()

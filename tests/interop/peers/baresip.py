"""baresip as a peer: a configuration folder of its own, no sound card, driven over its control connection."""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

from peers.process import free_port, patience, stop, wait_until

# Where Debian's package puts the modules.
MODULES = "/usr/lib/baresip/modules"

CONFIG = """
poll_method epoll
sip_listen {listen}:{port}
sip_cafile {ca}
call_local_timeout 60
call_max_calls 4
audio_source {source}
audio_player aubridge,pseudo
audio_alert aubridge,alert
audio_srate 8000
ausrc_srate 8000
auplay_srate 8000
audio_channels 1
ausrc_channels 1
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtp_ports {rtp}-{rtp_end}
rtcp_mux no
jitter_buffer_delay 1-5
net_interface {address}
snd_path {folder}
ctrl_tcp_listen 127.0.0.1:{control}
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""


class Baresip:
    """One baresip with one account. Use it in a `with`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        aor: str,
        *,
        address: str = "127.0.0.1",
        user: str = "",
        password: str = "",
        transport: str = "udp",
        outbound: str | None = None,
        expires: int = 0,
        srtp: str | None = None,
        answers: str = "manual",
        play: Path | None = None,
        ca: Path | None = None,
    ):
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        is_ipv6 = ":" in address
        # A port is free for both families where nothing else runs, and only IPv4's is asked.
        reference = "127.0.0.1" if is_ipv6 else address
        self.port = free_port(reference, 2)
        self.seen: list[dict] = []
        self._unread: list[dict] = []
        self._buffer = b""
        control = free_port()
        rtp = free_port(reference, 8)
        parameters = [f"transport={transport}"]
        account = [f"auth_user={user}", f"auth_pass={password}"] if user else []
        account += [f"outbound={json.dumps(outbound)}"] if outbound else []
        account += [f"regint={expires}", "audio_codecs=pcma,pcmu", f"answermode={answers}"]
        account += [f"mediaenc={srtp}"] if srtp else []
        (self.folder / "accounts").write_text(f"<{';'.join([aor, *parameters])}>;{';'.join(account)}\n")
        (self.folder / "contacts").write_text("")
        (self.folder / "config").write_text(
            CONFIG.format(
                address=address,
                listen=f"[{address}]" if is_ipv6 else address,
                port=self.port,
                ca=ca or "",
                source=f"aufile,{play}" if play else "aubridge,silence",
                rtp=rtp,
                rtp_end=rtp + 7,
                folder=self.folder,
                control=control,
                modules=MODULES,
            ).replace("sip_cafile \n", "")
        )
        self._out = open(self.folder / "out", "wb")
        self._process = subprocess.Popen(
            ["baresip", "-6" if is_ipv6 else "-4", "-f", str(self.folder), "-s"],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            cwd=self.folder,
        )
        try:
            self._control = wait_until(lambda: self._connect(control), f"{name}'s control port", 8)
        except AssertionError:
            stop(self._process, signal.SIGKILL)
            raise

    def _connect(self, port: int) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.do("quit")
            self._process.wait(3)
        except (OSError, subprocess.TimeoutExpired):
            pass
        stop(self._process, signal.SIGKILL)
        self._control.close()
        self._out.close()

    def do(self, command: str, params: str = ""):
        """Sends a command as a netstring of JSON."""
        text = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))

    def expect(self, kind: str, timeout: float = 8.0) -> dict:
        """The next unread event of this type."""
        deadline = time.monotonic() + patience(timeout)
        while True:
            for at, candidate in enumerate(self._unread):
                if candidate.get("type") == kind:
                    return self._unread.pop(at)
            left = deadline - time.monotonic()
            news = self._read(left) if left > 0 else None
            assert news is not None, f"{self.name}: no {kind} within {patience(timeout):g} s; seen: {self.seen[-6:]}; {self.output()}"
            self.seen.append(news)
            self._unread.append(news)

    def _read(self, timeout: float) -> dict | None:
        deadline = time.monotonic() + timeout
        while True:
            length, colon, rest = self._buffer.partition(b":")
            if colon and len(rest) > int(length):
                self._buffer = rest[int(length) + 1 :]
                return json.loads(rest[: int(length)])
            self._control.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                chunk = self._control.recv(65536)
            except TimeoutError:
                return None
            if not chunk:
                return None
            self._buffer += chunk

    def output(self) -> str:
        return (self.folder / "out").read_text(errors="replace")[-2500:]

    # What a person at the telephone does.

    def registered(self, timeout: float = 8.0):
        """Read off its output: it may have registered before the control connection stood."""
        wait_until(lambda: "[1 binding]" in self.output(), f"{self.name} to be registered", timeout)

    def dial(self, uri: str):
        self.do("dial", uri)

    def accept(self):
        self.do("accept")

    def hang_up(self):
        self.do("hangup")

    def established(self, timeout: float = 8.0):
        return self.expect("CALL_ESTABLISHED", timeout)

    def ended(self, timeout: float = 8.0):
        return self.expect("CALL_CLOSED", timeout)

    def recording(self) -> Path:
        """What it heard in its latest call."""
        recordings = self.folder.glob
        return wait_until(lambda: sorted(recordings("dump-*-dec.wav")), f"a recording of {self.name}")[-1]

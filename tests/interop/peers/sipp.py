"""sipp as a peer: runs one scenario in a process of its own and reads what it sent and received."""

import re
import signal
import subprocess
from pathlib import Path

from peers.message import Message
from peers.process import free_port, patience, stop, wait_until
from peers.scenario import Scenario

# How sipp's message trace introduces a message.
TRACE_HEAD = re.compile(r"^-{40,} .*\n(?:TCP|UDP) message (sent|received) .*\n\n", re.MULTILINE)


class Sipp:
    """One running scenario. Use it in a `with`: leaving it checks that the scenario went as written."""

    def __init__(
        self,
        folder: Path,
        name: str,
        scenario: Scenario,
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        remote: str | None = None,
        calls: int = 1,
        at_once: int | None = None,
        rate: int = 10,
        is_logged: bool = True,
        transport: str = "udp",
        seconds: int = 20,
        echo: bool = False,
    ):
        self.name, self.address = name, address
        self.port = port or free_port(address)
        self.seconds = seconds
        self._folder = folder
        self._trace = folder / f"{name}.sip"
        script = folder / f"{name}.xml"
        script.write_text(scenario.xml())
        command = ["sipp", "-sf", str(script), "-i", address, "-p", str(self.port), "-m", str(calls), "-l", str(at_once or calls), "-r", str(rate)]
        command += ["-mi", address, "-mp", str(free_port(address, 4)), "-cp", str(free_port()), "-nostdin"]
        command += ["-t", "t1" if transport == "tcp" else "u1", "-timeout", f"{patience(seconds):.0f}s", "-timeout_error"]
        # What is not in the scenario ends it at once and fails the test; nothing is answered on the side.
        command += ["-default_behaviors", "abortunexp"]
        if is_logged:
            command += ["-trace_msg", "-message_file", str(self._trace)]
            command += ["-trace_err", "-error_file", str(folder / f"{name}.errors")]
        command += ["-auth_uri", scenario.digest_uri] if scenario.digest_uri else []
        command += ["-rtp_echo"] if echo else []
        command += [remote] if remote else []
        self._out = open(folder / f"{name}.out", "wb")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out, cwd=folder)

    def __enter__(self):
        # The script is read before the socket is bound, and a datagram sent before that is lost.
        wait_until(lambda: self._is_bound() or self._process.poll() is not None, f"{self.name} to listen", 5, 0.01)
        return self

    def _is_bound(self) -> bool:
        """Whether the kernel knows a UDP or TCP socket at its port (hexadecimal in /proc)."""
        suffix = f":{self.port:04X} "
        tables = ("/proc/net/udp", "/proc/net/tcp")
        return any(suffix in line[6:22] for table in tables for line in Path(table).read_text().splitlines())

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.finished()
        finally:
            self.kill()

    def kill(self):
        """Ends it however far it came."""
        stop(self._process, signal.SIGKILL)
        self._out.close()

    @property
    def contact(self) -> str:
        """Its address and port."""
        return f"{self.address}:{self.port}"

    @property
    def messages(self) -> list[Message]:
        """All messages so far, oldest first."""
        text = self._trace.read_text(errors="replace") if self._trace.exists() else ""
        text = text.replace("\r\n", "\n")
        parts = TRACE_HEAD.split(text)[1:]
        return [Message.parse(body, direction) for direction, body in zip(parts[::2], parts[1::2])]

    def received(self, what: str | int) -> list[Message]:
        """The received requests of a method, or the received responses of a status."""
        return [m for m in self.messages if m.direction == "received" and _is(m, what)]

    def sent(self, what: str | int) -> list[Message]:
        return [m for m in self.messages if m.direction == "sent" and _is(m, what)]

    def waits_for(self, what: str | int, timeout: float = 8.0) -> Message:
        """The first received message of this kind, as soon as it is there."""
        return wait_until(lambda: self.received(what), f"{self.name} to receive {what}", timeout)[0]

    def waits_for_final(self, number: int = 1, timeout: float = 8.0) -> Message:
        """The first, second and so on of the final responses received, whatever they say."""

        def finals():
            found = [m for m in self.messages if m.direction == "received" and m.status >= 200]
            return found[number - 1 :]

        return wait_until(finals, f"{self.name} to receive final response {number}", timeout)[0]

    def finished(self):
        """Waits for the scenario's end, which must be a success."""
        try:
            code = self._process.wait(patience(self.seconds) + 3)
        except subprocess.TimeoutExpired:
            code = None
        assert code == 0, f"{self.name}: sipp ended with {code}\n{self.story()}"
        return self

    def story(self) -> str:
        """The messages' first lines and sipp's own complaint, for a failure's report."""
        lines = [f"  {'->' if m.direction == 'sent' else '<-'} {m.start}" for m in self.messages]
        complaints = self._folder / f"{self.name}.errors"
        if complaints.exists():
            lines.append(complaints.read_text(errors="replace")[:3000])
        return "\n".join(lines)


def _is(message: Message, what: str | int) -> bool:
    if isinstance(what, int):
        return message.status == what
    return message.status == 0 and message.method == what

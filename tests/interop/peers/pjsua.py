"""pjsua2 as a peer: the test's side of `pjsua_agent.py`."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from peers.process import patience, stop
from peers.message import Message

AGENT = Path(__file__).with_name("pjsua_agent.py")


class Pjsua:
    """One pjsua2 user agent in its own process. Use it in a `with`."""

    def __init__(self, folder: Path, name: str, **options):
        self.name = name
        self.log = folder / f"{name}.pjsip.log"
        options.setdefault("address", "127.0.0.1")
        options["log"] = str(self.log)
        for key in ("play", "record", "ca", "certificate", "key"):
            if options.get(key):
                options[key] = str(options[key])
        self.seen: list[dict] = []
        self._unread: list[dict] = []
        self._events: queue.Queue = queue.Queue()
        self._stderr = open(folder / f"{name}.stderr", "wb")
        self._process = subprocess.Popen(
            [sys.executable, str(AGENT), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            try:
                self._events.put(json.loads(line))
            except ValueError:
                pass
        self._events.put({"event": "gone"})

    def __enter__(self):
        self.expect("ready")
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            try:
                self.do("quit")
                self._process.wait(3)
            except (OSError, subprocess.TimeoutExpired):
                pass
        stop(self._process)
        self._stderr.close()

    def do(self, what: str, **facts):
        self._process.stdin.write((json.dumps({"do": what, **facts}) + "\n").encode())
        self._process.stdin.flush()

    def expect(self, event: str, timeout: float = 8.0, **facts) -> dict:
        """The next unread event of this name with these facts; others stay unread for later questions."""
        deadline = time.monotonic() + patience(timeout)
        while True:
            for at, candidate in enumerate(self._unread):
                if candidate["event"] == event and all(candidate.get(k) == v for k, v in facts.items()):
                    return self._unread.pop(at)
            try:
                news = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{self.name}: no {event} {facts} within {patience(timeout):g} s; last seen: {self.seen[-5:]}"
                ) from None
            self.seen.append(news)
            if news["event"] in ("gone", "error"):
                raise AssertionError(f"{self.name}: {news}; log: {self.log}")
            self._unread.append(news)

    def events(self) -> list[dict]:
        """Every event so far, asked for or not."""
        while not self._events.empty():
            self.seen.append(self._events.get())
            self._unread.append(self.seen[-1])
        return self.seen

    def kill(self):
        """Ends it without a word to anybody, as a power failure would."""
        stop(self._process, signal.SIGKILL)

    # What a person at the PBX does.

    def registered(self, timeout: float = 8.0) -> dict:
        """Waits for the registrar's final answer, which must be 200."""
        event = self.expect("registration", timeout)
        assert event["code"] == 200, f"{self.name} was not registered: {event['code']} {event['reason']}"
        return event

    def dial(self, to: str, *, offer: str = "early", **headers) -> "PjsuaCall":
        """Calls; a late offer leaves the first session description to the callee (RFC 3261 section 13.2.1)."""
        self.do("call", to=to, offer=offer, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return PjsuaCall(self, self.expect("calling")["call"])

    def incoming(self, timeout: float = 8.0) -> "PjsuaCall":
        event = self.expect("incoming", timeout)
        return PjsuaCall(self, event["call"], Message.parse(event["message"]))


class PjsuaCall:
    """One call of one agent."""

    def __init__(self, agent: Pjsua, number: int, invite: Message | None = None):
        self.agent, self.number, self.invite = agent, number, invite

    def answer(self, code: int = 200):
        self.agent.do("answer", call=self.number, code=code)
        return self

    def is_confirmed(self, timeout: float = 8.0):
        self.agent.expect("state", timeout, call=self.number, state="CONFIRMED")
        return self

    def ends(self, timeout: float = 8.0) -> dict:
        """Waits for the call's end and returns the event, with the last status code and reason."""
        return self.agent.expect("state", timeout, call=self.number, state="DISCONNECTED")

    def media(self, status: str, timeout: float = 5.0):
        self.agent.expect("media", timeout, call=self.number, status=status)
        return self

    def hold(self):
        self.agent.do("hold", call=self.number)
        return self

    def resume(self):
        self.agent.do("resume", call=self.number)
        return self

    def dtmf(self, digits: str):
        self.agent.do("dtmf", call=self.number, digits=digits)

    def heard_digits(self, count: int, timeout: float = 6.0) -> str:
        return "".join(self.agent.expect("dtmf", timeout, call=self.number)["digit"] for _ in range(count))

    def hang_up(self, code: int = 0):
        self.agent.do("hangup", call=self.number, code=code)
        return self

    def stats(self) -> dict:
        self.agent.do("stats", call=self.number)
        return self.agent.expect("stats")

"""Processes on a core of their own: start, bounded end by their own id, and what they have cost so far."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

# The gateway and its peers share one core, whoever makes the load has the other.
MEASURED, GENERATOR = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Pinned:
    """One process and its children."""

    command: list
    core: int
    folder: Path
    name: str
    pipe: bool = False
    process: subprocess.Popen = field(init=False)

    def __post_init__(self):
        words = ["taskset", "-c", str(self.core), *map(str, self.command)]
        self.log = self.folder / f"{self.name}.log"
        with open(self.log, "ab") as log:
            out = subprocess.PIPE if self.pipe else log
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=self.folder, text=True
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def tree(self) -> list[int]:
        """Its process id and those of all that came from it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, _read(task).split())
        return found

    def cpu_s(self) -> float:
        """User and system time of the whole tree, in seconds."""
        stats = (_read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split() for pid in self.tree())
        return sum(int(stat[11]) + int(stat[12]) for stat in stats if stat) / TICKS

    def rss_kib(self) -> int:
        """Resident memory of the first process alone: what children share would count twice."""
        return int(re.search(r"VmRSS:\s+(\d+)", _read(Path(f"/proc/{self.process.pid}/status")))[1])

    def wait(self, seconds: float) -> int | None:
        """Its exit status, or none if it still runs after so long."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, patience: float = 5.0):
        """Ends it: kindly, then without asking; the children that are left as well."""
        children = self.tree()[1:]
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
            if self.wait(patience) is None:
                self.process.kill()
                self.process.wait(2)
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def _read(path: Path) -> str:
    """A file of /proc; empty if its process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(question, what: str, timeout: float, interval: float = 0.05):
    """Asks until the answer is truthy and returns it; fails naming what was waited for."""
    deadline = time.monotonic() + timeout
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
    return answer

"""Load by sipp: a step of calls or registrations at a rate, and what became of them."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path

from pinned import GENERATOR, Pinned
from sides import CARRIER, HERE, SIP

PEERS = HERE / "peers"
# How long what has begun may take to end after the last one was started.
TAIL_S = 12


@dataclass
class Step:
    """What one side did at one rate."""

    offered: float
    seconds: int
    succeeded: int
    failed: int
    retransmitted: int
    cpu_s: float
    took_s: float
    generator_cores: float

    @property
    def started(self) -> int:
        return self.succeeded + self.failed

    @property
    def cpu_ms(self) -> float:
        """CPU of the side for one success."""
        return 1000 * self.cpu_s / max(self.succeeded, 1)

    @property
    def goodput(self) -> float:
        """Successes a second of the time in which work was offered."""
        return self.succeeded / self.seconds

    @property
    def passes(self) -> bool:
        """Less than 0.5 % failed, less than 2 % retransmitted, and sipp kept its pace."""
        kept_pace = self.started >= 0.95 * self.offered * self.seconds
        return kept_pace and self.failed < 0.005 * self.started and self.retransmitted < 0.02 * self.started

    def __str__(self) -> str:
        verdict = "passes" if self.passes else "fails"
        return (
            f"{self.offered:.0f}/s: {self.succeeded} of {self.started} succeeded, {self.retransmitted} retransmitted, "
            f"{self.cpu_ms:.3f} ms each, sipp {self.generator_cores:.2f} cores: {verdict}"
        )


def calls(side, folder: Path, rate: float, seconds: int, hold_s: float = 1.0) -> Step:
    """Calls with digest, each held for a while, to a carrier that answers."""
    uas = ["-sf", PEERS / "uas.xml", "-i", CARRIER[0], "-p", CARRIER[1], "-mi", CARRIER[0], "-mp", 6100]
    carrier = _sipp(folder, "carrier", [*uas, "-cp", 8101])
    time.sleep(0.3)
    try:
        return _step(side, folder, "uac_auth.xml", rate, seconds, ["-d", int(hold_s * 1000)], carrier)
    finally:
        carrier.stop(0.5)


def registrations(side, folder: Path, rate: float, seconds: int) -> Step:
    """Registrations with digest, going round all users."""
    return _step(side, folder, "reg_auth.xml", rate, seconds, [])


def _sipp(folder: Path, name: str, words: list) -> Pinned:
    # One thread a sipp, with room for bursts; -nostdin because it is not in the foreground.
    common = ["-nostdin", "-t", "u1", "-buff_size", 4_000_000, "-trace_err", "-error_file", folder / f"{name}.errors"]
    return Pinned(["sipp", *words, *common], GENERATOR, folder, name)


def _step(side, folder, scenario, rate, seconds, options, helper: Pinned | None = None) -> Step:
    statistics = folder / "sipp.csv"
    statistics.unlink(missing_ok=True)
    # sipp is told the rate for 100 ms, or it starts a whole second's calls in one burst.
    burst = max(1, round(rate / 10))
    rate, count = 10 * burst, 10 * burst * seconds
    words = ["-sf", PEERS / scenario, "-inf", side.users, "-i", SIP[0], "-p", 5070, "-mi", SIP[0], "-mp", 6000]
    words += ["-r", burst, "-rp", 100, "-m", count, "-l", 100_000, "-cp", 8100]
    words += ["-trace_stat", "-stf", statistics, "-fd", 1, "-recv_timeout", 8000]
    words += ["-timeout", f"{seconds + TAIL_S}s", *options, f"{SIP[0]}:{SIP[1]}"]
    before, began = side.cpu_s(), time.monotonic()
    generator = _sipp(folder, "caller", words)
    cost = 0.0
    # Read while it runs: a process that is gone has no time to show.
    while generator.wait(0.25) is None and time.monotonic() - began < seconds + TAIL_S + 5:
        cost = generator.cpu_s()
    generator.stop(0.5)
    took = time.monotonic() - began
    cpu = side.cpu_s() - before
    with open(statistics) as lines:
        last = list(csv.DictReader(lines, delimiter=";"))[-1]
    cost += helper.cpu_s() if helper else 0.0
    return Step(
        offered=rate,
        seconds=seconds,
        succeeded=int(last["SuccessfulCall(C)"]),
        # A call that has not ended by then has not succeeded.
        failed=count - int(last["SuccessfulCall(C)"]),
        retransmitted=int(last["Retransmissions(C)"]),
        cpu_s=cpu,
        took_s=took,
        generator_cores=cost / took,
    )

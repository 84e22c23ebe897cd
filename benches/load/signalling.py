"""What signalling costs, how much of it fits on a core, and what overload does to it."""

from contextlib import contextmanager
from pathlib import Path

import direct
import sipp
from report import Report
from sides import Kamailio, Sipgw

CALLS = ("AUTH", "DLG", "RTPE")
REGISTRAR = ("AUTH", "REG")
# The search for the highest rate ends when the step is this close.
PRECISION = 1.05
SEARCH_STEPS_MAX = 14
# Longer steps need more ports than there are: each rests for ten seconds after its call.
SEARCH_SECONDS_MAX = 6


@contextmanager
def running(side):
    """A side, started afresh."""
    side.start()
    try:
        yield side
    finally:
        side.stop()


def both(options, folder: Path, peer: tuple[str, ...]):
    """The sides that were asked for."""
    made = {"sipgw": lambda: Sipgw(folder), "peer": lambda: Kamailio(folder, *peer)}
    return [make() for name, make in made.items() if options.only in (None, name)]


def calls(options, folder: Path):
    _cost_and_maximum(options, folder, "calls", CALLS, sipp.calls, options.rate or 400, first=500)


def register(options, folder: Path):
    _cost_and_maximum(options, folder, "register", REGISTRAR, sipp.registrations, options.rate or 3000, first=4000)


def _cost_and_maximum(options, folder, subject, peer, load, rate, first):
    report = Report(subject, options.results)
    sides = both(options, folder, peer)
    costs: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(options.repeats):
        for side in sides:
            with running(side):
                # The first second is for caches, pools and page faults.
                load(side, folder, rate, 1)
                step = load(side, folder, rate, options.seconds)
            print(f"{side.name}: {step}", flush=True)
            report.keep(side.name, "cost", step)
            costs[side.name].append(step.cpu_ms)
    maxima = {} if options.no_maximum else _maxima(options, folder, report, sides, load, first)
    report.row(subject, "sipgw", "kamailio+rtpengine", "ratio")
    report.compare(f"CPU ms at {rate}/s", costs, "sipgw", Kamailio.name, 3)
    report.compare("highest rate a second", maxima, "sipgw", Kamailio.name, 0)
    report.finish()


def _maxima(options, folder, report, sides, load, first) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(options.repeats):
        for side in sides:
            highest = highest_rate(side, folder, report, load, first, options.seconds)
            print(f"{side.name}: highest rate {highest:.0f}/s", flush=True)
            found[side.name].append(highest)
    return found


def highest_rate(side, folder, report, load, first, seconds) -> float:
    """The highest rate that passes: up by a quarter until one fails, then halving the gap. 0 if none passes."""
    passed, failed, rate = 0.0, 0.0, float(first)
    seconds = min(seconds, SEARCH_SECONDS_MAX)
    for _ in range(SEARCH_STEPS_MAX):
        with running(side):
            load(side, folder, min(rate, 400), 1)
            step = load(side, folder, rate, seconds)
        print(f"  {side.name}: {step}", flush=True)
        report.keep(side.name, "search", step)
        if step.passes:
            passed = rate
        else:
            failed = rate
        if passed and failed and failed / passed <= PRECISION:
            break
        if not failed:
            rate *= 1.25
        else:
            rate = (passed * failed) ** 0.5 if passed else failed * 0.6
    return passed


def setup(options, folder: Path):
    """From the first INVITE to 180, one call at a time, both ends in this process, less what it takes directly."""
    report = Report("setup", options.results)
    sides = [direct.Direct(), *both(options, folder, CALLS)]
    p50: dict[str, list[float]] = {side.name: [] for side in sides}
    p99: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(options.repeats):
        for side in sides:
            with running(side):
                delays = direct.delays_us(side, count=20 * options.seconds)
            report.keep(side.name, "delays_us", delays)
            p50[side.name].append(delays[len(delays) // 2])
            p99[side.name].append(delays[(len(delays) - 1) * 99 // 100])
    report.row("setup, us", "sipgw", "kamailio+rtpengine", "ratio")
    for name, values in (("p50", p50), ("p99", p99)):
        report.compare(f"INVITE to 180, {name}", values, "sipgw", Kamailio.name, 0)
        base = values[direct.Direct.name]
        added = {side: [value - floor for value, floor in zip(values[side], base)] for side in values}
        report.compare(f"added over direct, {name}", added, "sipgw", Kamailio.name, 0)
    report.row("direct, p50", f"{sorted(p50[direct.Direct.name])[options.repeats // 2]:.0f}", "", "")
    report.finish()


def overload(options, folder: Path):
    """What is still carried when more is offered than fits."""
    report = Report("overload", options.results)
    sides = both(options, folder, CALLS)
    report.row("offered", *(f"{side.name}: goodput/s (share of the highest rate)" for side in sides))
    highest = {}
    for side in sides:
        highest[side.name] = options.rate or highest_rate(side, folder, report, sipp.calls, 500, options.seconds)
    for factor in (0.5, 1, 2, 4, 10):
        cells = []
        for side in sides:
            goods = []
            for _ in range(options.repeats):
                with running(side):
                    step = sipp.calls(side, folder, factor * highest[side.name], min(options.seconds, SEARCH_SECONDS_MAX))
                print(f"{side.name} x{factor}: {step}", flush=True)
                report.keep(side.name, f"x{factor}", step)
                goods.append(step.goodput)
            median = sorted(goods)[len(goods) // 2]
            cells.append(f"{median:.0f} ({median / max(highest[side.name], 1):.2f})")
        report.row(f"x{factor}", *cells)
    report.finish()

"""What relaying costs a packet, and what a running call and a registration hold in memory."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import sipp
from agent import Pair, users
from description import crypto, described, key, relay_port
from ng import Ng
from pinned import GENERATOR, Pinned
from report import Report
from sides import Kamailio, Rtpengine, Sipgw, built
from signalling import REGISTRAR, running

# The ends' own sockets, so many a side.
SOCKETS = 2
# Transactions must be gone before memory is read: 32 s (timer J of RFC 3261) and some.
FORGOTTEN_S = 36


class Ends:
    """The two ends of one call: their ports and keys, and the plan's line once the relay has answered."""

    def __init__(self, place: int, near_srtp: bool, far_srtp: bool):
        self.place = place
        self.near, self.far = 9000 + 2 * (place % SOCKETS), 9400 + 2 * (place % SOCKETS)
        self.near_key = key(f"near{place}") if near_srtp else None
        self.far_key = key(f"far{place}") if far_srtp else None

    @property
    def offer(self) -> str:
        return described(self.near, self.near_key)

    def answer(self, offered: str) -> str:
        """The far end's answer to what it is offered."""
        return described(self.far, self.far_key, crypto(offered)[0] if self.far_key else "1")

    def plan(self, offered: str, answered: str) -> str:
        """`offered` is what the far end got, `answered` what the near end got."""
        near = [relay_port(answered), self.near_key or "-", crypto(answered)[1] if self.near_key else "-"]
        far = [relay_port(offered), self.far_key or "-", crypto(offered)[1] if self.far_key else "-"]
        return " ".join([f"127.0.0.1:{self.near}", *near, f"127.0.0.1:{self.far}", *far])


def by_sip(side, ends: list[Ends]) -> list[str]:
    """Sets the calls up in the gateway, one for each user."""
    with Pair() as pair:
        lines, known = [], users(side.users)
        for one in ends:
            user, password = known[one.place]
            _, offered, answered = pair.call(user, password, one.offer, one.answer)
            lines.append(one.plan(offered, answered))
        return lines


def by_ng(_, ends: list[Ends]) -> list[str]:
    """Sets the calls up in rtpengine."""
    ng, lines = Ng(), []
    flags = {"ICE": "remove", "DTLS": "off", "replace": ["origin"], "rtcp_mux": ["demux"]}
    for one in ends:
        call = {"call_id": f"call{one.place}", "from_tag": f"f{one.place}", **flags}
        protocol = "RTP/SAVP" if one.far_key else "RTP/AVP"
        offered = ng(command="offer", sdp=one.offer, transport_protocol=protocol, **call)["sdp"].decode()
        answer = ng(command="answer", sdp=one.answer(offered), to_tag=f"t{one.place}", **call)
        lines.append(one.plan(offered, answer["sdp"].decode()))
    return lines


@contextmanager
def generator(folder: Path, plan: list[str], seconds: int):
    """The media of these calls, playing from here on."""
    (folder / "plan").write_text("\n".join(plan) + "\n")
    process = Pinned([built("rtpgen"), folder / "plan", seconds], GENERATOR, folder, "rtpgen", pipe=True)
    try:
        assert process.process.stdout.readline() == "started\n", process.log_tail()
        yield process
    finally:
        process.stop(0.5)


def play(side, folder: Path, plan: list[str], seconds: int) -> dict:
    """Plays the calls and says what came through and what it cost."""
    with generator(folder, plan, seconds) as process:
        before = side.cpu_s()
        assert process.process.stdout.readline() == "ended\n", process.log_tail()
        cpu = side.cpu_s() - before
        result = json.loads(process.process.stdout.readline())
    return result | {"cpu_us": 1e6 * cpu / max(result["received"], 1)}


def relay(options, folder: Path):
    """CPU per forwarded packet, 50 packets a second each way."""
    report = Report("relay", options.results)
    report.row(f"{options.calls} calls", "sipgw", "rtpengine", "ratio")
    made = {"sipgw": (lambda: Sipgw(folder), by_sip), "peer": (lambda: Rtpengine(folder), by_ng)}
    chosen = [parts for name, parts in made.items() if options.only in (None, name)]
    for mode, near_srtp in (("RTP-RTP", False), ("SRTP-RTP", True)):
        figures: dict[str, dict[str, list[float]]] = {name: {} for name in ("cpu_us", "p50_us", "p99_us", "lost")}
        for _ in range(options.repeats):
            for make, connect in chosen:
                ends = [Ends(place, near_srtp, far_srtp=False) for place in range(options.calls)]
                with running(make()) as side:
                    result = play(side, folder, connect(side, ends), options.seconds)
                assert result["forged"] == 0, f"{side.name}: {result}"
                result["lost"] = 100 * (1 - result["received"] / max(result["sent"], 1))
                print(f"{side.name} {mode}: {result}", flush=True)
                report.keep(side.name, mode, result)
                for name, values in figures.items():
                    values.setdefault(side.name, []).append(result[name])
        for name, what in (("cpu_us", "us/packet"), ("p50_us", "p50 us"), ("p99_us", "p99 us"), ("lost", "lost %")):
            report.compare(f"{mode}, {what}", figures[name], "sipgw", Rtpengine.name, 2)
    report.finish()


def memory(options, folder: Path):
    """KiB of a running call, both legs SRTP, media flowing; and of a registration."""
    report = Report("memory", options.results)
    report.row("KiB", "sipgw", "peer", "ratio")
    made = {
        "sipgw": (lambda: Sipgw(folder, carrier_srtp="required"), by_sip),
        "peer": (lambda: Rtpengine(folder), by_ng),
    }
    chosen = {name: parts for name, parts in made.items() if options.only in (None, name)}
    for what, measure in (("a running call", _call_kib), ("a registration", _registration_kib)):
        values: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for name, parts in chosen.items():
                kib = measure(options, folder, name, *parts)
                print(f"{name}: {kib:.2f} KiB {what}", flush=True)
                report.keep(name, what, kib)
                values.setdefault(name, []).append(kib)
        report.compare(what, values, "sipgw", "peer")
    report.finish()


def _call_kib(options, folder: Path, _, make, connect) -> float:
    with running(make()) as side:
        # The first calls pay for what all share.
        ends = [Ends(place, near_srtp=True, far_srtp=True) for place in range(options.calls + 20)]
        first = connect(side, ends[:20])
        with generator(folder, first, 2):
            time.sleep(1)
        before = side.call_memory_kib()
        with generator(folder, first + connect(side, ends[20:]), options.seconds + 2):
            time.sleep(options.seconds)
            return (side.call_memory_kib() - before) / options.calls


def _registration_kib(options, folder: Path, name: str, *_) -> float:
    """The second half's: what the first one needed for its transactions is there to be used again."""
    side = Sipgw(folder) if name == "sipgw" else Kamailio(folder, *REGISTRAR)
    with running(side):
        half = options.registrations // 2
        everyone = side.users.read_text().splitlines()[1:]
        levels = []
        for part in (everyone[:half], everyone[half : 2 * half]):
            side.users = folder / "part.csv"
            side.users.write_text("\n".join(["SEQUENTIAL", *part, ""]))
            step = sipp.registrations(side, folder, 1000, half // 1000)
            assert step.failed == 0, step
            time.sleep(FORGOTTEN_S)
            levels.append(side.registration_memory_kib())
        return (levels[1] - levels[0]) / half

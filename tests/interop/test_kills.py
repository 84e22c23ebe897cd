"""The gateway is killed in the middle of its work, again and again; the books must not notice.

`SIPGW_KILLS=200` kills it so often; the usual run is a sample of that.
"""

import os
import random
import sqlite3
import time

import pytest

from bench import TALLINN, finished
from peers.process import free_port, wait_until
from peers.scenario import Callee, Caller, Registrant

KILLS = int(os.environ.get("SIPGW_KILLS", "5"))
CHANNELS = 40
CREDIT = 1_000_000_000


class Books:
    """What the database says, read as any other program would."""

    def __init__(self, gateway, profile):
        self._gateway, self._profile = gateway, profile
        # Before the first kill: what was written here must never be written again.
        self.records = 0

    def _ask(self, question: str):
        with sqlite3.connect(f"file:{self._gateway.folder / 'sipgw.db'}?mode=ro", uri=True) as database:
            return database.execute(question).fetchone()

    def are_sound(self):
        """To the millionth: what the profile lost is what its calls cost, each once, and nothing is still held."""
        assert self._gateway.cli("books", "verify")["is_sound"]
        lost = CREDIT - self._gateway.profile(self._profile)["credit_micros"]
        records, calls, cost = self._ask("SELECT count(*), count(DISTINCT call_id), coalesce(sum(amount_micros), 0) FROM cdrs")
        assert records == calls >= self.records
        assert cost == lost
        assert self._ask("SELECT count(*) FROM reservations") == (0,)
        assert self._ask("SELECT sum(reserved) FROM accounts") == (0,)
        too_dear = "SELECT count(*) FROM cdrs WHERE amount_micros > 20000 OR billed_s > 30"
        assert self._ask(too_dear) == (0,), "no call lasts longer than the first thirty seconds"
        empty = "SELECT count(*) FROM cdrs WHERE answered_at IS NOT NULL AND '' IN (caller_call_id, callee_call_id, carrier)"
        assert self._ask(empty) == (0,), "what was known at the answer is on record"
        self.records = records

    @property
    def orphans(self) -> int:
        """Calls that a kill ended."""
        return self._ask("SELECT count(*) FROM cdrs WHERE reason_code = 'gateway_restarted'")[0]


def load(bench, profile, carrier_port: int):
    """Calls of up to two seconds, sixty new ones a second, until it is killed."""
    callee = Callee().is_invited().rings().answers().is_hung_up()
    caller = Caller(profile, TALLINN).invites().is_challenged().is_answered().waits_between(0.0, 2.0).hangs_up()
    many = {"calls": 100_000, "at_once": CHANNELS, "is_logged": False}
    carrier = bench.sipp("carrier", callee, address="127.0.0.2", port=carrier_port, **many)
    return carrier, bench.pbx(caller, rate=60, **many)


@pytest.mark.timeout(60 + 10 * KILLS)
def test_no_kill_costs_a_channel_or_a_cent(bench):
    chance = random.Random(os.environ.get("SIPGW_KILLS_SEED"))
    profile = bench.profile(channels=CHANNELS, credit=str(CREDIT // 1_000_000))
    registered = bench.profile(name="Registered")
    carrier_port = free_port("127.0.0.2")
    bench.gateway.add_carrier("carrier", "127.0.0.2", carrier_port)
    finished(bench.pbx(Registrant(registered).registers(expires=3600).is_challenged().gets(200)))
    books = Books(bench.gateway, profile)
    for _ in range(KILLS):
        peers = load(bench, profile, carrier_port)
        wait_until(lambda: bench.gateway.metric("sipgw_calls_live") > 0, "the load to begin", 10)
        time.sleep(chance.uniform(0.1, 1.7))
        bench.gateway.crash()
        for peer in peers:
            peer.kill()
        bench.gateway.start()
        bench.gateway.has_settled()
        books.are_sound()
        assert bench.gateway.metric("sipgw_registered", profile=registered.user) == 1
    assert books.orphans > KILLS, "the kills found calls to end"
    print(f"{KILLS} kills, {books.records} calls recorded, {books.orphans} of them ended by a kill")

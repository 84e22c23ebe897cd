"""The database locked and its disk full under calls: they go on, new ones on what is on hand, and the books know all."""

import resource
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

from bench import TALLINN, finished
from peers.process import wait_until
from peers.scenario import Callee, Caller


# What a gateway has that is not told otherwise: an outage is noticed before the calls of these tests are over.
pytestmark = pytest.mark.gateway(store_patience_ms=4_000)


@contextmanager
def locked(bench):
    """Takes the write lock, as a stuck command would."""
    with closing(sqlite3.connect(bench.gateway.folder / "sipgw.db", isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(bench):
    """No file grows beyond what the database's log is now; all others are shorter."""
    pid, unlimited = bench.gateway.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    database = bench.gateway.folder / "sipgw.db"
    with closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as reader:
        # A reader keeps the log from beginning anew, and something large makes it the longest file.
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM meta").fetchone()
        with closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as writer:
            writer.execute("CREATE TABLE ballast (octets BLOB)")
            writer.execute("INSERT INTO ballast VALUES (zeroblob(8000000))")
            writer.execute("DROP TABLE ballast")
        size = database.with_name("sipgw.db-wal").stat().st_size
        # The soft limit only: not everybody could lift the hard one again.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


def is_up(bench) -> bool:
    return bench.gateway.metric("sipgw_store_up") == 1


def survives(bench, trouble):
    """One call runs into the trouble, one begins in it and outlives it, one begins and ends in it."""
    profile = bench.profile(credit="10.00")
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up(), calls=3)

    def call(seconds: float):
        return bench.pbx(Caller(profile, TALLINN).invites().is_challenged().is_answered().waits(seconds).hangs_up())

    running = call(14)
    running.waits_for(200)
    wait_until(lambda: bench.gateway.profile(profile)["reserved_micros"] > 1_000_000, "credit to be on hand", 3)
    # The answer is on its way to the gateway's memory.
    time.sleep(0.2)
    with trouble(bench):
        new, short = call(10), call(0.5)
        new.waits_for(200)
        finished(short)
        page = bench.gateway.page("/readyz")
        assert page.startswith("degraded: the store does not answer"), page
        assert not is_up(bench)
        assert bench.gateway.metric("sipgw_calls_live") == 2
    wait_until(lambda: is_up(bench), "the store to be up again", 12)
    assert bench.gateway.page("/readyz") == "ready\n"
    finished(running, new, carrier)
    bench.gateway.has_settled()
    assert [cdr["amount_micros"] for cdr in bench.gateway.cdrs()] == [20_000] * 3
    assert bench.gateway.cli("books", "verify") == {"is_sound": True, "wrong": []}
    assert bench.gateway.profile(profile)["credit_micros"] == 9_940_000
    log = bench.gateway.log.read_text()
    assert log.count("The store does not answer: calls go on") == log.count("The store answers again") >= 1


def test_calls_outlive_a_locked_database(bench):
    survives(bench, locked)


def test_calls_outlive_a_full_disk(bench):
    survives(bench, full)


def test_a_crash_in_an_outage_loses_no_call_that_was_granted(bench):
    profile = bench.profile(credit="10.00")
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up(), calls=2)
    scenario = Caller(profile, TALLINN).invites().is_challenged().is_answered().waits(0.3).hangs_up()
    finished(bench.pbx(scenario))
    wait_until(lambda: bench.gateway.profile(profile)["reserved_micros"] > 0, "credit to be on hand", 3)
    time.sleep(0.2)
    with locked(bench):
        finished(bench.pbx(scenario), carrier)
        wait_until(lambda: (bench.gateway.folder / "sipgw.db.outage").stat().st_size > 0, "the journal", 3)
        wait_until(lambda: bench.gateway.metric("sipgw_calls_live") == 0, "the call to end", 3)
        time.sleep(0.3)
        bench.gateway.crash()
    bench.gateway.start()
    assert [cdr["amount_micros"] for cdr in bench.gateway.cdrs()] == [20_000] * 2
    assert bench.gateway.cli("books", "verify") == {"is_sound": True, "wrong": []}
    assert bench.gateway.profile(profile)["reserved_micros"] == 0

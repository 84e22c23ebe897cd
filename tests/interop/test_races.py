"""Everything that can get in each other's way in a call, on the wire: each race is one row of a table.

`tests/sim` plays the same races at every step and in foul weather; here they are met by a user agent that is not ours.
After each the call is gone on both sides, nothing is left in the gateway, and the record says why and what it cost.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bench import LONDON, SECOND_CARRIER, TALLINN, finished
from peers.scenario import Callee, Caller, audio

# The shortest billed duration to Tallinn: half a minute at 0.04.
HALF_A_MINUTE = 20_000
OFFER, OTHER_OFFER = audio("sendonly", 2), audio("sendrecv", 3)


@dataclass(frozen=True)
class Race:
    """What PBX and carrier do, and what the record must say."""

    name: str
    pbx: Callable[[Caller], Caller]
    carrier: Callable[[Callee], Callee]
    reason: str = "hung_up"
    amount: int = HALF_A_MINUTE


def ringing(pbx: Caller) -> Caller:
    return pbx.invites().is_challenged().hears(180)


def talking(pbx: Caller) -> Caller:
    return pbx.invites().is_challenged().is_answered().waits(0.2)


def cancelled(name: str, pbx, carrier) -> Race:
    return Race(name, pbx, carrier, reason="cancelled", amount=0)


def answered(callee: Callee) -> Callee:
    return callee.is_invited().answers()


RACES = [
    cancelled(
        "CANCEL before the carrier's first word",
        # Nothing tells the PBX when the carrier has been invited: a busy machine has a second for that.
        lambda pbx: pbx.invites().is_challenged().receive(response=100).waits(1).cancels(),
        lambda carrier: carrier.is_invited().waits(2.5).rings().is_cancelled(),
    ),
    cancelled(
        "CANCEL between 18x and 200",
        lambda pbx: ringing(pbx).waits(0.2).cancels(),
        lambda carrier: carrier.is_invited().rings().is_cancelled(),
    ),
    cancelled(
        "CANCEL crosses 200",
        lambda pbx: ringing(pbx).waits(0.2).cancels(),
        lambda carrier: carrier.is_invited().rings().answers_though_cancelled(),
    ),
    cancelled(
        "CANCEL twice",
        lambda pbx: ringing(pbx).waits(0.2).cancels(times=2),
        lambda carrier: carrier.is_invited().rings().is_cancelled(),
    ),
    Race("BYE crosses BYE", lambda pbx: talking(pbx).hangs_up(), lambda c: answered(c).meets_the_goodbye_with_its_own()),
    Race(
        "BYE during re-INVITE",
        lambda pbx: talking(pbx).hangs_up_while_reinviting(OFFER),
        lambda carrier: answered(carrier).is_hung_up_while_reinvited(),
    ),
    Race(
        "re-INVITE glare",
        # RFC 3261 section 14.1: the owner of the Call-ID waits 2.1 s at least.
        lambda pbx: talking(pbx).reinvites(OFFER, gets=491).waits(2.1).reinvites(OFFER).hangs_up(),
        lambda carrier: answered(carrier)
        .meets_the_reinvite_with_its_own(OTHER_OFFER)
        .is_reinvited(audio("recvonly", 4))
        .is_hung_up(),
    ),
    Race(
        "UPDATE glare",
        lambda pbx: talking(pbx).updates_while_reinvited(audio("recvonly", 2)).waits(0.3).hangs_up(),
        lambda carrier: answered(carrier).waits(0.4).reinvites(OFFER).is_hung_up(),
    ),
    Race(
        "ACK again and again",
        lambda pbx: pbx.invites().is_challenged().is_answered(acks=4).waits(0.3).hangs_up(),
        lambda carrier: answered(carrier).is_hung_up(),
    ),
    Race(
        "ACK late, as if the first were lost",
        lambda pbx: pbx.invites().is_challenged().is_answered(after=1.2).waits(0.3).hangs_up(),
        lambda carrier: answered(carrier).is_hung_up(),
    ),
    Race(
        "several devices ring, and two answer",
        lambda pbx: ringing(pbx).is_answered().waits(0.3).hangs_up(),
        lambda carrier: carrier.is_invited().rings("a").rings("b").answers().second_device_answers().is_hung_up(),
    ),
    Race(
        "401 from a carrier",
        lambda pbx: talking(pbx).hangs_up(),
        lambda carrier: carrier.challenges("carrier.example", 401).answers().is_hung_up(),
    ),
    Race(
        "a late offer within the call",
        lambda pbx: talking(pbx).reinvites("", answer=audio("sendrecv", 2)).hangs_up(),
        lambda carrier: answered(carrier).is_reinvited().is_hung_up(),
    ),
    *(
        Race(
            f"{status} to a re-INVITE keeps the call",
            lambda pbx, code=int(status[:3]): talking(pbx).reinvites(OFFER, gets=code).waits(0.3).hangs_up(),
            lambda carrier, status=status: answered(carrier).is_reinvited(status=status).is_hung_up(),
        )
        for status in ("488 Not Acceptable Here", "500 Server Internal Error", "603 Decline")
    ),
    *(
        Race(
            f"{status} to a re-INVITE ends the call",
            lambda pbx, code=int(status[:3]): talking(pbx).reinvites(OFFER, gets=code).is_hung_up(),
            lambda carrier, status=status: answered(carrier).is_reinvited(status=status).is_hung_up(),
            reason=reason,
        )
        for status, reason in (
            ("408 Request Timeout", "side_silent"),
            ("481 Call/Transaction Does Not Exist", "call_forgotten"),
        )
    ),
]


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_race(bench, race):
    profile = bench.profile()
    carrier = bench.carrier(race.carrier(Callee()), user="trunk7", password="s3cret")
    pbx = bench.pbx(race.pbx(Caller(profile, TALLINN)))
    finished(pbx, carrier)
    cdr = bench.cdr()
    assert (cdr["reason_code"], cdr["amount_micros"]) == (race.reason, race.amount)
    assert bench.gateway.profile(profile)["credit_micros"] == 10_000_000 - race.amount
    assert len(carrier.received("CANCEL")) <= 1


@pytest.mark.gateway(t1_ms=100)
def test_a_pbx_that_never_acknowledges_is_hung_up_after_64_times_t1(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, TALLINN).invites().is_challenged().is_answered(acks=0).is_hung_up())
    finished(pbx, carrier)
    assert len(pbx.received(200)) > 3, "the 200 was not repeated"
    assert "408" in pbx.received("BYE")[0].all("Reason")[1]
    assert bench.cdr()["reason_code"] == "no_ack"


FAILURES = ["408 Request Timeout", "500 Server Internal Error", "503 Service Unavailable"]
LAST_WORDS = ["404 Not Found", "480 Temporarily Unavailable", "486 Busy Here", "603 Decline"]


def two_carriers(bench, first: Callee):
    carrier = bench.carrier(first, name="first", priority=1)
    second = Callee().is_invited().rings().answers().is_hung_up()
    return carrier, bench.carrier(second, address=SECOND_CARRIER, name="second", priority=2)


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_before_any_ringing_leads_to_the_next_carrier(bench, status):
    profile = bench.profile()
    first, second = two_carriers(bench, Callee().is_invited().refuses(status))
    finished(bench.pbx(talking(Caller(profile, LONDON)).hangs_up()), first, second)
    assert bench.cdr()["carrier_name"] == "second"


@pytest.mark.parametrize("status, told", [(FAILURES[0], 480), (FAILURES[1], 500), (FAILURES[2], 503)])
def test_a_failure_after_ringing_is_final(bench, status, told):
    profile = bench.profile()
    first, second = two_carriers(bench, Callee().is_invited().rings().waits(0.2).refuses(status))
    pbx = bench.pbx(ringing(Caller(profile, LONDON)).is_refused(told))
    finished(pbx, first)
    assert not second.received("INVITE")
    assert bench.cdr()["amount_micros"] == 0


@pytest.mark.parametrize("status", LAST_WORDS)
def test_whoever_declined_is_not_called_again(bench, status):
    profile = bench.profile()
    first, second = two_carriers(bench, Callee().is_invited().refuses(status))
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_refused(int(status[:3])))
    finished(pbx, first)
    assert not second.received("INVITE")


def of_session(direction: str) -> str:
    """A description whose direction stands above all media."""
    description = audio(direction, 2)
    line = f"a={direction}\n"
    return description.replace(line, "").replace("t=0 0\n", "t=0 0\n" + line)


def without_direction() -> str:
    return audio("sendrecv", 3).replace("a=sendrecv\n", "")


HOLDS = {
    "sendonly": (audio("sendonly", 2), "recvonly"),
    "inactive": (audio("inactive", 2), "inactive"),
    "recvonly": (audio("recvonly", 2), "sendonly"),
    "zero address": (audio("sendrecv", 2, address="0.0.0.0"), "recvonly"),
    "port 0": (audio("sendrecv", 2).replace("[media_port]", "0"), "inactive"),
    "above all media": (of_session("sendonly"), "recvonly"),
}


@pytest.mark.parametrize("form", HOLDS)
def test_a_hold_in_any_form_holds_and_silence_about_direction_resumes(bench, form):
    profile = bench.profile()
    hold, answer = HOLDS[form]
    held = Callee().is_invited().answers().is_reinvited(audio(answer, 2)).is_reinvited(audio("sendrecv", 3))
    carrier = bench.carrier(held.is_hung_up())
    scenario = talking(Caller(profile, LONDON)).reinvites(hold).waits(0.2).reinvites(without_direction())
    pbx = bench.pbx(scenario.waits(0.2).hangs_up())
    finished(pbx, carrier)
    _, on, off = carrier.received("INVITE")
    assert any(word in on.body for word in ("a=sendonly", "a=inactive", "a=recvonly", "m=audio 0 ")), on.body
    assert not any(word in off.body for word in ("a=sendonly", "a=inactive", "a=recvonly", "m=audio 0 ")), off.body

"""Calls from the telephone network to a PBX, with sipp on both sides."""

import re

import pytest

from bench import DID, IP_PBX, OTHER_DID, finished
from gateway import OUTSIDE
from peers.scenario import Callee, Caller, Identity


def test_an_incoming_call_reaches_the_registered_contact_with_the_called_number(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().rings().answers().is_hung_up())
    carrier = bench.carrier_calls(Caller(bench.outside, DID).invites().hears(180).is_answered().waits(1).hangs_up())
    finished(carrier, pbx)

    [invite] = pbx.received("INVITE")
    digits = DID.lstrip("+")
    assert invite.uri.startswith(f"sip:{digits}@{pbx.contact}")
    assert "rinstance=3e5b1c9a" in invite.uri
    assert invite.uri_of("To") == f"sip:{digits}@{bench.gateway.domain}"
    assert re.fullmatch(rf"sip:\+?{bench.outside.user.lstrip('+')}@{re.escape(bench.gateway.domain)}", invite.uri_of("From"))
    assert bench.outside.user.lstrip("+") in invite.uri_of("Contact") and bench.gateway.sip in invite.uri_of("Contact")
    assert int(invite["Max-Forwards"]) <= 30
    assert re.match(r"sipgw/\d", invite["User-Agent"])
    assert {"INVITE", "ACK", "CANCEL", "OPTIONS", "BYE"} <= set(re.split(r"\s*,\s*", invite["Allow"]))
    assert OUTSIDE not in str(invite), "the carrier's address is nobody's business"

    cdr = bench.cdr()
    assert (cdr["direction"], cdr["to"], cdr["amount_micros"]) == ("incoming", DID, 0)
    assert cdr["profile"] == profile.id


def test_a_profile_can_have_the_number_with_a_plus(bench):
    profile = bench.profile(numbers=[DID], presentation="e164")
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().hangs_up()), pbx)
    assert pbx.received("INVITE")[0].uri.startswith(f"sip:{DID}@")


def test_two_numbers_of_one_profile_are_told_apart(bench):
    profile = bench.profile(numbers=[DID, OTHER_DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up(), calls=2)
    for number in (DID, OTHER_DID):
        finished(bench.carrier_calls(Caller(bench.outside, number).invites().is_answered().hangs_up()))
    finished(pbx)
    called = [re.match(r"sip:(\d+)@", invite.uri)[1] for invite in pbx.received("INVITE")]
    assert called == [DID.lstrip("+"), OTHER_DID.lstrip("+")]


def test_the_pbx_can_hang_up(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().waits(0.5).hangs_up())
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().is_hung_up()), pbx)


def test_the_caller_can_give_up(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().rings().is_cancelled())
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().hears(180).waits(0.3).cancels()), pbx)


def test_a_busy_pbx_is_busy(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().refuses("486 Busy Here"))
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_refused(486)), pbx)
    assert bench.cdr()["reason_code"] == "callee_busy"


def test_a_pbx_that_is_not_registered_is_said_to_be_away(bench):
    bench.profile(numbers=[DID])
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_refused(480)))
    assert bench.cdr()["reason_code"] == "not_registered"


def test_a_number_of_nobody_is_not_found(bench):
    bench.profile(numbers=[DID])
    finished(bench.carrier_calls(Caller(bench.outside, "+12025550199").invites().is_refused(404)))


def test_a_full_profile_is_busy_for_the_caller(bench):
    profile = bench.profile(numbers=[DID], channels=1)
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    first = bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().waits(1.5).hangs_up())
    first.waits_for(200)
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_refused(486)), first, pbx)
    bench.cdr(2)
    assert "no_channel_incoming" in {cdr["reason_code"] for cdr in bench.gateway.cdrs()}


def test_a_pbx_known_by_its_address_is_called_there(bench):
    pbx = bench.sipp("pbx", Callee().is_invited().rings().answers().is_hung_up(), address=IP_PBX)
    bench.profile(numbers=[DID], ip=IP_PBX, ip_port=pbx.port)
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().hangs_up()), pbx)
    assert pbx.received("INVITE")[0].uri.startswith(f"sip:{DID.lstrip('+')}@{pbx.contact}")


def test_a_stranger_does_not_reach_a_pbx(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited())
    stranger = bench.pbx(Caller(bench.outside, DID).invites().hears(407), address="127.0.0.77", seconds=6)
    assert stranger.waits_for_final().status in (401, 403, 407)
    assert not pbx.received("INVITE")


@pytest.mark.parametrize("extension", [None, "201"])
def test_a_business_account_is_reached_by_name(bench, extension):
    profile = bench.profile(accounts={"architects.sales": extension})
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    finished(bench.carrier_calls(Caller(bench.outside, "architects.sales").invites().is_answered().hangs_up()), pbx)
    assert pbx.received("INVITE")[0].uri.startswith(f"sip:{extension or 'architects.sales'}@")


def test_early_media_of_the_pbx_is_passed_on(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().plays_early_media().waits(0.3).answers().is_hung_up())
    carrier = bench.carrier_calls(Caller(bench.outside, DID).invites().hears(183).is_answered().hangs_up())
    finished(carrier, pbx)
    assert f"c=IN IP4 {bench.gateway.address}" in carrier.received(183)[0].body


def test_a_carrier_that_proves_itself_may_call_from_anywhere(bench):
    profile = bench.profile(numbers=[DID])
    bench.gateway.add_carrier("roaming", "127.0.0.9", 5060, user="trunk7", password="s3cret")
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    roaming = Identity("trunk7", bench.gateway.domain, "s3cret")
    scenario = Caller(roaming, DID).invites().is_challenged().is_answered().hangs_up()
    finished(bench.pbx(scenario, address="127.0.0.77"), pbx)
    assert bench.cdr()["carrier_name"] == "roaming"
    guess = Identity("trunk7", bench.gateway.domain, "guess")
    finished(bench.pbx(Caller(guess, DID).invites().is_challenged().is_refused(403), address="127.0.0.77"))

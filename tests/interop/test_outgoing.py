"""Calls from a PBX to the telephone network, with sipp on both sides."""

import re

import pytest

from bench import DID, LONDON, OTHER_DID, SECOND_CARRIER, IP_PBX, finished
from gateway import Profile
from peers.scenario import Callee, Caller, audio


def test_a_call_is_challenged_carried_and_ended_by_the_caller(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().answers().is_hung_up())
    scenario = Caller(profile, LONDON).invites().is_challenged().hears(180).is_answered().waits(1)
    pbx = bench.pbx(scenario.hangs_up())
    finished(pbx, carrier)
    cdr = bench.cdr()
    assert (cdr["direction"], cdr["to"], cdr["sip_status"]) == ("outgoing", LONDON, 200)
    assert 1 <= cdr["duration_s"] <= 2


def test_the_callee_can_hang_up(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().waits(0.5).hangs_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().is_hung_up())
    finished(pbx, carrier)
    assert bench.cdr()["answered_at_micros"]


def test_the_carriers_leg_is_a_call_of_its_own(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    theirs, ours = carrier.received("INVITE")[0], pbx.sent("INVITE")[1]
    assert theirs["Call-ID"] != ours["Call-ID"]
    assert len(theirs.all("Via")) == 1 and bench.gateway.address in theirs["Via"]
    assert theirs.uri_of("Contact").split("@")[-1].startswith(bench.gateway.sip)
    assert theirs["From"].partition("tag=")[2] != ours["From"].partition("tag=")[2]
    assert int(theirs["Max-Forwards"]) < int(ours["Max-Forwards"])
    assert theirs["User-Agent"].startswith("sipgw/")
    # The PBX's address and its user name stay here.
    assert pbx.contact not in str(theirs) and profile.user not in str(theirs)


def test_100_comes_at_once(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().waits(0.7).rings().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().hears(180).is_answered().hangs_up())
    finished(pbx, carrier)
    statuses = [m.status for m in pbx.messages if m.direction == "received" and m["CSeq"].startswith("2 ")]
    assert statuses[:2] == [100, 180]
    assert len(pbx.sent("INVITE")) == 2, "a retransmitted INVITE means that 100 was late"


def test_a_carrier_that_challenges_is_given_our_credentials(bench):
    profile = bench.profile()
    carrier = bench.carrier(
        Callee().challenges("carrier.example").answers().is_hung_up(), user="trunk7", password="s3cret"
    )
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    first, second = carrier.received("INVITE")
    assert 'username="trunk7"' in second["Proxy-Authorization"]
    assert "Proxy-Authorization" not in first and first["Call-ID"] == second["Call-ID"]


def test_the_caller_can_give_up(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().is_cancelled())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().hears(180).waits(0.3).cancels())
    finished(pbx, carrier)
    cdr = bench.cdr()
    assert cdr["answered_at_micros"] is None and cdr["amount_micros"] == 0


@pytest.mark.parametrize("status, code", [("486 Busy Here", 486), ("404 Not Found", 404), ("603 Decline", 603)])
def test_a_callees_refusal_is_final(bench, status, code):
    profile = bench.profile()
    first = bench.carrier(Callee().is_invited().refuses(status), name="first", priority=1)
    second = bench.carrier(Callee().is_invited(), address=SECOND_CARRIER, name="second", priority=2)
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_refused(code))
    finished(pbx, first)
    assert not second.received("INVITE")
    assert bench.cdr()["sip_status"] == code


def test_a_carrier_out_of_order_is_followed_by_the_next(bench):
    profile = bench.profile()
    first = bench.carrier(Callee().is_invited().refuses("503 Service Unavailable"), name="first", priority=1)
    second = bench.carrier(
        Callee().is_invited().rings().answers().is_hung_up(), address=SECOND_CARRIER, name="second", priority=2
    )
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, first, second)
    assert bench.cdr()["carrier_name"] == "second"


@pytest.mark.gateway(t1_ms=100)
def test_a_silent_carrier_is_followed_by_the_next(bench):
    """The silent one's INVITE lives on for 64*T1, since it may still be answered; T1 is short here."""
    profile = bench.profile()
    bench.gateway.add_carrier("silent", "127.0.0.9", 5060, priority=1)
    second = bench.carrier(Callee().is_invited().answers().is_hung_up(), name="second", priority=2)
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, second)


def test_without_a_carrier_the_call_is_refused(bench):
    profile = bench.profile()
    finished(bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_refused(503)))
    assert bench.cdr()["reason_code"] == "no_carrier"


@pytest.mark.gateway(no_answer_s=5)
def test_ringing_ends_by_itself(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().is_cancelled())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().hears(180).is_refused(480))
    finished(pbx, carrier)
    assert bench.cdr()["reason_code"] == "no_answer"


def test_a_call_over_the_limit_is_refused_and_costs_nothing(bench):
    profile = bench.profile(channels=1)
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    running = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().waits(2).hangs_up())
    running.waits_for(200)
    refused = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_refused(503))
    finished(refused, running, carrier)
    assert "Retry-After" not in refused.received(503)[0]
    bench.cdr(2)
    [over] = [cdr for cdr in bench.gateway.cdrs() if cdr["sip_status"] == 503]
    assert (over["reason_code"], over["amount_micros"]) == ("no_channel", 0)


def test_without_credit_there_is_no_call(bench):
    profile = bench.profile(credit="0")
    carrier = bench.carrier(Callee().is_invited())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_refused(402))
    finished(pbx)
    [refusal] = pbx.received(402)
    assert "Reason" in refusal and "Warning" in refusal
    assert not carrier.received("INVITE")
    assert bench.cdr()["reason_code"] == "no_credit"


@pytest.mark.parametrize("number", ["911", "112"])
def test_an_emergency_call_is_refused_with_a_clear_reason(bench, number):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited())
    pbx = bench.pbx(Caller(profile, number).invites().is_challenged().is_refused(403))
    finished(pbx)
    assert "mergency" in pbx.received(403)[0]["Warning"]
    assert not carrier.received("INVITE")
    cdr = bench.cdr()
    assert (cdr["reason_code"], cdr["amount_micros"]) == ("emergency", 0)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:+442079460123@{domain}",
        "sip:+442079460123@{domain};user=phone",
        "sip:011442079460123@{domain}",
        "sip:+44-20-7946.0123@{domain}",
        "sip:%2B442079460123@{domain}",
        "sip:442079460123;phone-context=+@{domain}",
        "tel:+44-20-7946-0123",
        "sip:+442079460123@{sip}",
    ],
)
def test_a_number_is_understood_however_it_is_written(bench, uri):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    uri = uri.format(domain=bench.gateway.domain, sip=bench.gateway.sip)
    pbx = bench.pbx(Caller(profile, LONDON, uri=uri).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    assert carrier.received("INVITE")[0].uri.startswith(f"sip:{LONDON}@")


def test_a_national_number_is_read_with_the_companys_country(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, "2125550123").invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    assert carrier.received("INVITE")[0].uri.startswith("sip:+12125550123@")


@pytest.mark.parametrize("number, status", [("bob", (404, 484)), ("+1", (404, 484)), ("+99912345", (404, 484))])
def test_what_is_no_telephone_number_is_refused_as_such(bench, number, status):
    profile = bench.profile()
    bench.carrier(Callee().is_invited())
    pbx = bench.pbx(Caller(profile, number).invites().is_challenged().hears(status[1]), seconds=6)
    assert pbx.waits_for_final(2).status in status


def test_the_callers_number_is_the_profiles_and_not_the_pbxs_choice(bench):
    profile = bench.profile(numbers=[DID], caller_id=DID)
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    forged = ("P-Asserted-Identity: <sip:+15005550000@pbx.example>",)
    pbx = bench.pbx(Caller(profile, LONDON, headers=forged).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    theirs = carrier.received("INVITE")[0]
    assert theirs.uri_of("From").startswith(f"sip:{DID}@")
    assert "15005550000" not in str(theirs)


def test_a_pbx_known_by_its_address_is_not_challenged(bench):
    profile = bench.profile(ip=IP_PBX)
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_answered().hangs_up(), address=IP_PBX)
    finished(pbx, carrier)
    assert bench.cdr()["profile"] == profile.id


def test_a_registered_pbx_calls_without_a_new_challenge_or_with_one(bench):
    """The binding's flow proves the PBX; a gateway that asks again must accept the answer."""
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pjsua(profile)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}").is_confirmed()
    call.hang_up().ends()
    finished(carrier)


@pytest.mark.parametrize("user", ["99050000000000", "mallory"])
def test_a_stranger_makes_no_call(bench, user):
    bench.profile()
    carrier = bench.carrier(Callee().is_invited())
    stranger = Profile(user, bench.gateway.domain, "guess")
    finished(bench.pbx(Caller(stranger, LONDON).invites().is_challenged().is_refused(403)))
    assert not carrier.received("INVITE")


def test_a_number_hosted_here_is_reached_without_a_carrier(bench):
    caller, callee = bench.profile(), bench.profile(name="Engineering", numbers=[OTHER_DID])
    there = bench.registered_pbx(callee, Callee().is_invited().rings().answers().is_hung_up())
    here = bench.pbx(Caller(caller, OTHER_DID).invites().is_challenged().hears(180).is_answered().hangs_up())
    finished(here, there)
    assert there.received("INVITE")[0].uri.startswith(f"sip:{OTHER_DID.lstrip('+')}@")
    bench.cdr(2)
    assert {cdr["direction"] for cdr in bench.gateway.cdrs()} == {"incoming", "outgoing"}
    assert all(cdr["amount_micros"] == 0 for cdr in bench.gateway.cdrs())


def test_early_media_is_passed_on(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().plays_early_media().waits(0.3).answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().hears(183).is_answered().hangs_up())
    finished(pbx, carrier)
    assert_is_relayed(bench, pbx.received(183)[0])


def test_media_is_described_as_ours_on_both_legs(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    assert_is_relayed(bench, carrier.received("INVITE")[0])
    assert_is_relayed(bench, next(m for m in pbx.received(200) if m.method == "INVITE"))


def assert_is_relayed(bench, message):
    """The description names the gateway's address and one of its ports."""
    assert f"c=IN IP4 {bench.gateway.address}" in message.body
    port = int(re.search(r"m=audio (\d+)", message.body)[1])
    assert bench.gateway.rtp <= port < bench.gateway.rtp + 64


def test_hold_and_resume_pass_through(bench):
    profile = bench.profile()
    carrier = bench.carrier(
        Callee().is_invited().answers().is_reinvited(audio("recvonly", 2)).is_reinvited(audio("sendrecv", 3)).is_hung_up()
    )
    scenario = Caller(profile, LONDON).invites().is_challenged().is_answered().waits(0.3)
    scenario.reinvites(audio("sendonly", 2)).waits(0.3).reinvites(audio("sendrecv", 3)).waits(0.3).hangs_up()
    pbx = bench.pbx(scenario)
    finished(pbx, carrier)
    _, hold, resume = carrier.received("INVITE")
    assert "a=sendonly" in hold.body
    assert "a=sendonly" not in resume.body and "a=inactive" not in resume.body
    held = [m for m in pbx.received(200) if m.method == "INVITE"][1]
    assert "a=recvonly" in held.body
    assert_is_relayed(bench, hold), assert_is_relayed(bench, held)


def test_an_old_hold_by_the_zero_address_is_a_hold(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_reinvited(audio("inactive", 2)).is_hung_up())
    scenario = Caller(profile, LONDON).invites().is_challenged().is_answered().waits(0.3)
    pbx = bench.pbx(scenario.reinvites(audio("sendonly", 2, address="0.0.0.0")).waits(0.3).hangs_up())
    finished(pbx, carrier)
    hold = carrier.received("INVITE")[1]
    assert "a=sendonly" in hold.body or "a=inactive" in hold.body


def test_the_callee_can_hold_too(bench):
    profile = bench.profile()
    scenario = Caller(profile, LONDON).invites().is_challenged().is_answered()
    carrier = bench.carrier(Callee().is_invited().answers().waits(0.3).reinvites(audio("sendonly", 2)).hangs_up())
    pbx = bench.pbx(scenario.is_reinvited(audio("recvonly", 2)).is_hung_up())
    finished(pbx, carrier)
    assert "a=sendonly" in pbx.received("INVITE")[0].body


def test_a_late_offer_is_offered_by_the_callee_and_answered_in_ack(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().answers().is_hung_up())
    scenario = Caller(profile, LONDON).invites("").is_challenged().is_answered(audio()).waits(0.3)
    pbx = bench.pbx(scenario.hangs_up())
    finished(pbx, carrier)
    offer = next(m for m in pbx.received(200) if m.method == "INVITE")
    assert_is_relayed(bench, offer)
    assert_is_relayed(bench, carrier.received("ACK")[0])


def test_a_large_invite_arrives_over_udp(bench):
    """About 9 kB: several fragments on a real path, and more than a small receive buffer."""
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    padding = tuple(f"X-Padding-{n}: {'x' * 400}" for n in range(20))
    pbx = bench.pbx(Caller(profile, LONDON, headers=padding).invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    assert len(str(carrier.received("INVITE")[0])) < 1300


def test_a_call_over_tcp_goes_on_over_udp(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().answers().is_hung_up())
    scenario = Caller(profile, LONDON).invites().is_challenged().hears(180).is_answered().hangs_up()
    finished(bench.pbx(scenario, transport="tcp"), carrier)


def test_ten_calls_in_a_row_leave_nothing_behind(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited().rings().answers().is_hung_up(), calls=10)
    scenario = Caller(profile, LONDON).invites().is_challenged().hears(180).is_answered().waits(0.2).hangs_up()
    finished(bench.pbx(scenario, calls=10, at_once=3), carrier)
    bench.cdr(10)


def test_the_carriers_reason_for_hanging_up_reaches_the_pbx(bench):
    profile = bench.profile()
    reason = 'Reason: Q.850;cause=38;text="Network out of order"'
    carrier = bench.carrier(Callee().is_invited().answers().waits(0.3).hangs_up(reason))
    pbx = bench.pbx(Caller(profile, LONDON).invites().is_challenged().is_answered().is_hung_up())
    finished(pbx, carrier)
    assert "cause=38" in pbx.received("BYE")[0]["Reason"]


@pytest.mark.parametrize("method, status", [("OPTIONS", 200), ("PUBLISH", 405), ("TELEPORT", 405)])
def test_a_known_pbx_gets_an_answer_to_every_method(bench, method, status):
    profile = bench.profile(ip=IP_PBX)
    pbx = bench.pbx(Caller(profile, "anything").asks(method, status), address=IP_PBX)
    finished(pbx)
    assert "INVITE" in pbx.received(status)[0]["Allow"]


def test_an_unknown_extension_that_is_required_is_named(bench):
    profile = bench.profile()
    scenario = Caller(profile, LONDON, headers=("Require: teleportation",)).invites().is_challenged().is_refused(420)
    pbx = bench.pbx(scenario)
    finished(pbx)
    assert pbx.received(420)[0]["Unsupported"] == "teleportation"


def test_a_call_that_has_no_hops_left_is_refused(bench):
    profile = bench.profile()
    carrier = bench.carrier(Callee().is_invited())
    finished(bench.pbx(Caller(profile, LONDON, max_forwards=0).invites().is_challenged().is_refused(483)))
    assert not carrier.received("INVITE")


@pytest.mark.parametrize("prefix", ["*67", "*31#", "%2A31%23"])
def test_a_prefix_withholds_the_caller_for_this_call(bench, prefix):
    profile = bench.profile(numbers=[DID], caller_id=DID)
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    pbx = bench.pbx(Caller(profile, f"{prefix}442079460123").invites().is_challenged().is_answered().hangs_up())
    finished(pbx, carrier)
    theirs = carrier.received("INVITE")[0]
    assert theirs.uri.startswith(f"sip:{LONDON}@")
    assert "anonymous" in theirs["From"] and DID.lstrip("+") not in theirs["From"] + theirs["Contact"]
    # The carrier is trusted with the number, to keep it to itself (RFC 3325 section 7).
    assert theirs["Privacy"] == "id" and DID in theirs["P-Asserted-Identity"]

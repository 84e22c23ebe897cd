"""What is heard: tones, digits and silence through real user agents, encrypted on one side and plain on the other."""

import socket
import time

import pytest

import tone
from bench import DID, ECHO, LONDON
from gateway import LOOPBACK6
from peers.process import wait_until

def hear_each_other(bench, here, there, call, other):
    """Both sides talk until each has heard the other's tone, and not its own, and hang up."""
    tone.until_heard(there, bench.tones.LOW)
    tone.until_heard(here, bench.tones.HIGH)
    figures = call.stats(), other.stats()
    call.hang_up().ends(), other.ends()
    assert tone.heard_seconds(here, bench.tones.LOW) == 0, figures
    return figures


def hears_baresip(bench, there, pbx, other):
    """The same for a PBX that is a baresip; the carrier hangs up."""
    tone.until_heard(there, bench.tones.LOW)
    tone.until_heard(pbx.recording(), bench.tones.HIGH)
    other.hang_up().ends()
    pbx.ended()


@pytest.mark.parametrize(
    "transport, srtp, suite",
    [
        ("udp", "off", None),
        ("tcp", "optional", None),
        ("tls", "mandatory", "AES_CM_128_HMAC_SHA1_80"),
        ("tls", "mandatory", "AES_CM_128_HMAC_SHA1_32"),
        ("tls", "mandatory", "AES_256_CM_HMAC_SHA1_80"),
    ],
)
def test_a_tone_goes_both_ways_between_a_pbx_and_a_plain_carrier(bench, transport, srtp, suite):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    suites = {"suites": [suite]} if suite else {}
    pbx = bench.pjsua(bench.profile(), transport=transport, srtp=srtp, play=bench.tones.low, record=here, **suites)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    call.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] == (srtp != "off")
    assert not theirs["secure"]
    assert ours["remote"].startswith(bench.gateway.address) and theirs["remote"].startswith(bench.gateway.address)


@pytest.mark.parametrize("transport, srtp", [("udp", "off"), ("tls", "mandatory")])
def test_a_tone_goes_both_ways_in_an_incoming_call(bench, transport, srtp):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    profile = bench.profile(numbers=[DID], srtp="required" if srtp == "mandatory" else "off")
    pbx = bench.pjsua(profile, transport=transport, srtp=srtp, play=bench.tones.low, record=here)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}")
    call = pbx.incoming().answer().is_confirmed()
    other.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] == (srtp != "off") and not theirs["secure"]


@pytest.mark.parametrize("caller", ["pbx", "carrier"])
@pytest.mark.parametrize("transport, srtp", [("udp", "off"), ("tls", "mandatory")])
def test_a_tone_goes_both_ways_when_the_callee_makes_the_offer(bench, caller, transport, srtp):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    profile = bench.profile(numbers=[DID], srtp="required" if srtp == "mandatory" else "off")
    pbx = bench.pjsua(profile, transport=transport, srtp=srtp, play=bench.tones.low, record=here)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    if caller == "pbx":
        call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}", offer="late")
        other = carrier.incoming().answer().is_confirmed()
        call.is_confirmed()
    else:
        other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}", offer="late")
        call = pbx.incoming().answer().is_confirmed()
        other.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] == (srtp != "off") and not theirs["secure"]


def test_two_pbxs_with_keys_of_their_own_hear_each_other(bench):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    one = bench.pjsua(
        bench.profile(srtp="required"), transport="tls", srtp="mandatory", play=bench.tones.low, record=here
    )
    two = bench.pjsua(
        bench.profile(name="Engineering", numbers=[DID], srtp="required"),
        transport="tls",
        srtp="mandatory",
        play=bench.tones.high,
        record=there,
    )
    call = one.dial(f"sip:{DID}@{bench.gateway.domain}")
    other = two.incoming().answer().is_confirmed()
    call.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] and theirs["secure"]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK6, 0))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.gateway(ipv6=True)
def test_a_pbx_on_ipv6_hears_a_carrier_on_ipv4(bench):
    there = bench.folder / "there.wav"
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    pbx = bench.baresip(bench.profile(), address=LOOPBACK6, play=bench.tones.low)
    pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    pbx.established()
    hears_baresip(bench, there, pbx, other)


def test_a_plain_pbx_is_carried_over_tls_and_srtp_to_the_carrier(bench):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    carrier = bench.pjsua_carrier(
        transport="tls", carrier_srtp="required", srtp="mandatory", play=bench.tones.high, record=there
    )
    pbx = bench.pjsua(bench.profile(), play=bench.tones.low, record=here)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    call.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert not ours["secure"] and theirs["secure"]


def test_baresip_over_tls_with_sdes_hears_a_plain_carrier(bench):
    there = bench.folder / "there.wav"
    pbx = bench.baresip(bench.profile(), transport="tls", srtp="srtp-mand", play=bench.tones.low)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    pbx.established()
    hears_baresip(bench, there, pbx, other)


def test_baresip_answers_an_encrypted_incoming_call(bench):
    """baresip knows no Online Numbers: it is called by an account whose extension is its own user name."""
    there = bench.folder / "there.wav"
    profile = bench.profile(accounts={"architects.sales": "{user}"}, srtp="required")
    pbx = bench.baresip(profile, transport="tls", srtp="srtp-mand", play=bench.tones.low, answers="auto")
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    other = carrier.dial(f"sip:architects.sales@{bench.gateway.sip}").is_confirmed()
    pbx.established()
    hears_baresip(bench, there, pbx, other)


@pytest.mark.parametrize("transport, srtp", [("udp", "off"), ("tls", "mandatory")])
def test_the_echo_test_plays_back_what_it_hears(bench, transport, srtp):
    heard = bench.folder / "heard.wav"
    profile = bench.profile(credit="0")
    pbx = bench.pjsua(profile, transport=transport, srtp=srtp, play=bench.tones.low, record=heard)
    call = pbx.dial(f"sip:{ECHO}@{bench.gateway.domain}").is_confirmed()
    tone.until_heard(heard, bench.tones.LOW)
    assert bench.gateway.metric("sipgw_channels_in_use", profile=profile.user) == 1
    call.hang_up().ends()
    cdr = bench.cdr()
    assert (cdr["kind"], cdr["amount_micros"]) == ("echo", 0)


@pytest.mark.parametrize("transport, srtp", [("udp", "off"), ("tls", "mandatory")])
def test_hold_silences_and_resume_brings_the_sound_back(bench, transport, srtp):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    pbx = bench.pjsua(bench.profile(), transport=transport, srtp=srtp, play=bench.tones.low, record=here)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    call.is_confirmed().media("active")
    other.media("active")
    call.hold().media("local_hold")
    other.media("remote_hold")
    time.sleep(0.5)
    before = other.stats()["received"]
    call.resume().media("active")
    other.media("active")
    wait_until(lambda: other.stats()["received"] > before + 50, "the sound to be back")
    hear_each_other(bench, here, there, call, other)


def test_digits_arrive_in_both_directions(bench):
    pbx = bench.pjsua(bench.profile(), transport="tls", srtp="mandatory", play=bench.tones.low)
    carrier = bench.pjsua_carrier(play=bench.tones.high)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    call.is_confirmed()
    time.sleep(0.5)
    call.dtmf("159#")
    assert other.heard_digits(4) == "159#"
    other.dtmf("*42")
    assert call.heard_digits(3) == "*42"
    call.hang_up().ends(), other.ends()


def test_early_media_is_heard_before_the_answer(bench):
    here = bench.folder / "here.wav"
    pbx = bench.pjsua(bench.profile(), play=bench.tones.low, record=here)
    carrier = bench.pjsua_carrier(play=bench.tones.high)
    call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer(183)
    call.media("active")
    tone.until_heard(here, bench.tones.HIGH)
    call.hang_up().ends(), other.ends()
    assert bench.cdr()["answered_at_micros"] is None


def test_a_profile_that_must_encrypt_is_not_answered_in_the_clear(bench):
    pbx = bench.pjsua(bench.profile(srtp="required"), srtp="off")
    carrier = bench.pjsua_carrier()
    ended = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}").ends()
    assert ended["code"] == 488
    assert not [event for event in carrier.events() if event["event"] == "incoming"]
    assert bench.cdr()["reason_code"] == "secure_media_required"

"""Habits of real PBXs that a trunk must live with: SIPS, SRTP over UDP, 100rel, T.38, what Asterisk writes."""

import pytest

from bench import DID, LONDON, finished
from peers.scenario import Callee, Caller
from test_media import hear_each_other, hears_baresip


# SIPS (RFC 5630): the PBX registers, calls and is called with sips: throughout.


def test_pjsua_with_sips_calls_and_is_called(bench):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    profile = bench.profile(numbers=[DID], srtp="required")
    pbx = bench.pjsua(
        profile, scheme="sips", transport="tls", srtp="mandatory", play=bench.tones.low, record=here
    )
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    call = pbx.dial(f"sips:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    call.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] and not theirs["secure"]

    other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}")
    call = pbx.incoming()
    assert call.invite.uri.startswith("sips:")
    assert call.invite["Contact"].startswith("<sips:"), "RFC 3261 section 8.1.1.8"
    call.answer().is_confirmed()
    other.is_confirmed()
    call.hang_up().ends(), other.ends()


def test_baresip_with_a_sips_account_calls_and_is_called(bench):
    """Its stack knows sips: as the account's own address; what it routes by, dials and gives as Contact is sip:."""
    there = bench.folder / "there.wav"
    profile = bench.profile(accounts={"architects.sales": "{user}"}, srtp="required")
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    pbx = bench.baresip(
        profile, scheme="sips", transport="tls", srtp="srtp-mand", play=bench.tones.low, answers="auto"
    )
    pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
    other = carrier.incoming().answer().is_confirmed()
    pbx.established()
    hears_baresip(bench, there, pbx, other)

    other = carrier.dial(f"sip:architects.sales@{bench.gateway.sip}").is_confirmed()
    pbx.established()
    other.hang_up().ends()
    pbx.ended()


# A PBX that insists on SRTP although its signalling is UDP must be reachable at once, and after a restart.


def is_reached(bench, pbx, carrier, here, there):
    other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}")
    call = pbx.incoming().answer().is_confirmed()
    other.is_confirmed()
    ours, theirs = hear_each_other(bench, here, there, call, other)
    assert ours["secure"] and not theirs["secure"]


def test_pjsua_that_insists_on_sdes_over_udp_is_reached_before_and_after_a_restart(bench):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    profile = bench.profile(numbers=[DID])
    pbx = bench.pjsua(profile, srtp="mandatory", play=bench.tones.low, record=here)
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    is_reached(bench, pbx, carrier, here, there)
    bench.gateway.has_settled()
    bench.gateway.stop()
    bench.gateway.start()
    other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}")
    call = pbx.incoming()
    assert "RTP/SAVP" in call.invite.body, "what was learnt holds after the restart"
    call.answer().is_confirmed()
    other.is_confirmed()
    call.hang_up().ends(), other.ends()


def test_baresip_that_insists_on_sdes_over_udp_is_reached(bench):
    there = bench.folder / "there.wav"
    profile = bench.profile(accounts={"architects.sales": "{user}"})
    pbx = bench.baresip(profile, srtp="srtp-mand", play=bench.tones.low, answers="auto")
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    other = carrier.dial(f"sip:architects.sales@{bench.gateway.sip}").is_confirmed()
    pbx.established()
    hears_baresip(bench, there, pbx, other)


# 100rel (RFC 3262) demanded on one side, unknown on the other.


@pytest.mark.parametrize("demands", ["pbx", "carrier"])
@pytest.mark.parametrize("caller", ["pbx", "carrier"])
def test_reliable_responses_may_be_demanded_on_one_side_alone(bench, demands, caller):
    here, there = bench.folder / "here.wav", bench.folder / "there.wav"
    profile = bench.profile(numbers=[DID])
    of = lambda side: {"prack": "mandatory" if side == demands else "off"}  # noqa: E731
    pbx = bench.pjsua(profile, play=bench.tones.low, record=here, **of("pbx"))
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there, **of("carrier"))
    if caller == "pbx":
        call = pbx.dial(f"sip:{LONDON}@{bench.gateway.domain}")
        other = carrier.incoming().answer(183).answer().is_confirmed()
        call.is_confirmed()
    else:
        other = carrier.dial(f"sip:{DID}@{bench.gateway.sip}")
        call = pbx.incoming().answer(183).answer().is_confirmed()
        other.is_confirmed()
    hear_each_other(bench, here, there, call, other)


# T.38 (RFC 3362) is refused in each of its three forms, and the call goes on as it was.

T38 = """v=0
o=- 3890844516 2 IN IP4 [local_ip]
s=interop
c=IN IP4 [media_ip]
t=0 0
{audio}m=image [media_port] udptl t38
a=T38FaxVersion:0
a=T38MaxBitRate:14400
a=T38FaxRateManagement:transferredTCF
"""

FORMS = {
    "instead of the audio": "",
    "with the audio off": "m=audio 0 RTP/AVP 8\n",
    "beside the audio": "m=audio [media_port] RTP/AVP 8\na=rtpmap:8 PCMA/8000\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_fax_that_asks_for_t38_keeps_its_audio(bench, form):
    offer = T38.format(audio=FORMS[form])
    is_beside = "[media_port]" in FORMS[form]
    carrier = Callee().is_invited().answers()
    carrier = bench.carrier((carrier.is_reinvited() if is_beside else carrier).is_hung_up())
    pbx = Caller(bench.profile(), LONDON).invites().is_challenged().is_answered()
    pbx = pbx.reinvites(offer, gets=200 if is_beside else 488)
    pbx = bench.pbx(pbx.waits(0.5).hangs_up())
    finished(pbx, carrier)
    if is_beside:
        lines = [line for line in pbx.received(200)[1].body.splitlines() if line.startswith("m=")]
        assert len(lines) == 2 and not lines[0].startswith("m=audio 0 ") and lines[1].startswith("m=image 0 ")


# What Asterisk writes.


def test_asterisk_without_a_caller_id_shows_the_profiles_number(bench):
    """From "Anonymous" <sip:anonymous@anonymous.invalid> without Privacy is Asterisk's way to have no caller ID."""
    profile = bench.profile(numbers=[DID], caller_id=DID)
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    nobody = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    pbx = Caller(profile, LONDON, caller=nobody).invites().is_challenged().is_answered().hangs_up()
    finished(bench.pbx(pbx), carrier)
    invite = carrier.received("INVITE")[0]
    assert DID in invite["P-Asserted-Identity"] and "anonymous" not in invite["From"].lower()
    assert bench.cdr()["from"] == DID


def test_asterisk_can_read_why_a_call_was_refused(bench):
    """Asterisk reads one value a Reason field, and the first one alone."""
    bench.carrier(Callee().is_invited().refuses("486 Busy Here", 'Reason: Q.850;cause=17;text="User busy"'))
    pbx = bench.pbx(Caller(bench.profile(), LONDON).invites().is_challenged().is_refused(486))
    finished(pbx)
    reasons = pbx.received(486)[0].all("Reason")
    assert reasons[0].startswith("Q.850;cause=17") and all("," not in reason for reason in reasons)


def test_the_reasons_of_asterisks_goodbye_reach_the_carrier(bench):
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up())
    goodbye = ("Reason: Q.850;cause=16", "X-Asterisk-HangupCause: Normal Clearing", "X-Asterisk-HangupCauseCode: 16")
    finished(bench.pbx(Caller(bench.profile(), LONDON).invites().is_challenged().is_answered().hangs_up(*goodbye)), carrier)
    assert any(reason.startswith("Q.850;cause=16") for reason in carrier.received("BYE")[0].all("Reason"))

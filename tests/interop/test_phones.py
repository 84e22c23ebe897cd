"""Phones of business accounts: signed in while no profile has the account, and refused with the reason while one has."""

import tone
from bench import finished
from gateway import COMPANY, Profile
from peers.scenario import Caller, Registrant

NAME = "vanessa.lombardi"


def phone(bench) -> Profile:
    """A business account with the password that its phone signs in with."""
    gateway = bench.gateway
    gateway.change("account", "add", COMPANY, NAME)
    made = gateway.change("account", "credentials", NAME, "--new")
    return Profile(made["user"], made["domain"], made["password"], id=0, name=NAME)


def test_a_baresip_signs_in_with_a_business_account_and_is_called(bench):
    there = bench.folder / "there.wav"
    ringing = bench.baresip(phone(bench), play=bench.tones.low, answers="auto")
    carrier = bench.pjsua_carrier(play=bench.tones.high, record=there)
    call = carrier.dial(f"sip:{NAME}@{bench.gateway.sip}").is_confirmed()
    ringing.established()
    tone.until_heard(there, bench.tones.LOW)
    tone.until_heard(ringing.recording(), bench.tones.HIGH)
    call.hang_up().ends()
    ringing.ended()
    cdr = bench.cdr()
    assert (cdr["to"], cdr["profile"], cdr["amount"]) == (NAME, None, None)


def test_an_account_that_a_profile_has_cannot_sign_in(bench):
    signs_in = phone(bench)
    profile = bench.profile()
    bench.gateway.change("account", "attach", NAME, profile.id)
    refused = bench.pbx(Registrant(signs_in).registers().is_challenged().gets(503))
    finished(refused)
    [refusal] = refused.received(503)
    assert refusal["X-Sipgw-Reason"] == "account_attached"
    assert refusal["Retry-After"] == "300"
    assert "belongs to a SIP profile" in refusal["Warning"]


def test_a_phone_makes_no_calls(bench):
    caller = bench.pbx(Caller(phone(bench), "+442079460123").invites().is_challenged().is_refused(403))
    finished(caller)
    assert caller.received(403)[-1]["X-Sipgw-Reason"] == "phone_cannot_call"

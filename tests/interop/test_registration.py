"""PBXs register: over each transport, with digest, and with every habit that real ones have."""

import re

import pytest

from bench import DID, finished
from gateway import Profile
from peers.process import wait_until
from peers.scenario import Callee, Caller, Registrant


def is_registered(bench, profile) -> bool:
    return bench.gateway.metric("sipgw_registered", profile=profile.user) == 1


def test_a_registration_is_challenged_and_its_contact_comes_back_unchanged(bench):
    profile = bench.profile()
    pbx = bench.pbx(Registrant(profile).registers().is_challenged().gets(200))
    finished(pbx)
    [granted] = pbx.received(200)
    ours = pbx.sent("REGISTER")[0].uri_of("Contact")
    assert "rinstance=3e5b1c9a" in ours
    assert granted.uri_of("Contact") == ours
    assert "expires=300" in granted["Contact"] and granted["Expires"] == "300"
    assert is_registered(bench, profile)


def test_a_challenge_names_realm_qop_and_no_stale_nonce(bench):
    profile = bench.profile()
    pbx = bench.pbx(Registrant(profile).registers().gets(401))
    finished(pbx)
    [challenge] = pbx.received(401)
    assert f'realm="{bench.gateway.domain}"' in challenge["WWW-Authenticate"]
    assert 'qop="auth"' in challenge["WWW-Authenticate"]
    assert "stale=true" not in challenge["WWW-Authenticate"].lower()


def test_sha256_is_offered_before_md5_unless_the_profile_wants_md5_alone(bench):
    strong, old = bench.profile(digest="sha256_and_md5"), bench.profile(name="Old", digest="md5")
    offers = []
    for profile in (strong, old):
        pbx = bench.pbx(Registrant(profile).registers().gets(401))
        finished(pbx)
        offers.append([re.search(r"algorithm=([\w-]+)", c)[1] for c in pbx.received(401)[0].all("WWW-Authenticate")])
    assert offers == [["SHA-256", "MD5"], ["MD5"]]


def test_more_than_an_hour_is_not_granted(bench):
    profile = bench.profile()
    pbx = bench.pbx(Registrant(profile).registers(expires=86400).is_challenged().gets(200))
    finished(pbx)
    assert pbx.received(200)[0]["Expires"] == "3600"


def test_a_pbx_behind_a_nat_is_given_45_seconds(bench):
    profile = bench.profile()
    inside = f"<sip:{profile.user}@192.168.4.20:5060;line=k7>"
    pbx = bench.pbx(Registrant(profile).registers(inside).is_challenged().gets(200))
    finished(pbx)
    [granted] = pbx.received(200)
    assert granted["Expires"] == "45"
    assert granted.uri_of("Contact") == f"sip:{profile.user}@192.168.4.20:5060;line=k7"


def test_a_wrong_password_is_told_so(bench):
    profile = bench.profile()
    wrong = Profile(profile.user, profile.domain, "not-the-password")
    pbx = bench.pbx(Registrant(profile).registers().is_challenged(wrong).gets(403))
    finished(pbx)
    assert not is_registered(bench, profile)


def test_an_unknown_user_is_answered_as_a_wrong_password_is(bench):
    bench.profile()
    stranger = Profile("99050000000000", bench.gateway.domain, "whatever")
    finished(bench.pbx(Registrant(stranger).registers().is_challenged().gets(403)))


def test_a_nonce_of_another_time_is_stale_and_no_failure(bench):
    """A PBX that kept its nonce over our restart, or over the nonce's lifetime."""
    profile = bench.profile()
    domain = bench.gateway.domain
    old = (
        f'Authorization: Digest username="{profile.user}", realm="{domain}", nonce="bm9uY2Ugb2YgYW5vdGhlciBydW4", '
        f'uri="sip:{domain}", response="0123456789abcdef0123456789abcdef", algorithm=MD5'
    )
    pbx = bench.pbx(Registrant(profile).registers("", old).is_challenged().gets(200))
    finished(pbx)
    assert "stale=true" in pbx.received(401)[0]["WWW-Authenticate"].lower()


def test_too_short_an_interval_is_answered_with_the_shortest(bench):
    profile = bench.profile()
    pbx = bench.pbx(Registrant(profile).registers(expires=5).is_challenged().gets(423))
    finished(pbx)
    assert pbx.received(423)[0]["Min-Expires"] == "20"


def test_a_register_without_contact_asks_and_changes_nothing(bench):
    profile = bench.profile()
    scenario = Registrant(profile).registers().is_challenged().gets(200)
    pbx = bench.pbx(scenario.registers(None, expires=None).is_challenged().gets(200))
    finished(pbx)
    registered, asked = pbx.received(200)
    assert asked.uri_of("Contact") == registered.uri_of("Contact")
    assert is_registered(bench, profile)


def test_a_star_removes_what_is_registered(bench):
    profile = bench.profile()
    scenario = Registrant(profile).registers().is_challenged().gets(200)
    pbx = bench.pbx(scenario.registers("*", expires=0).is_challenged().gets(200))
    finished(pbx)
    assert "Contact" not in pbx.received(200)[1]
    wait_until(lambda: not is_registered(bench, profile), "the PBX to be unregistered")


def test_a_star_with_an_interval_is_malformed(bench):
    profile = bench.profile()
    finished(bench.pbx(Registrant(profile).registers("*", expires=300).gets(400)))


def test_expires_zero_removes_the_contact(bench):
    profile = bench.profile()
    scenario = Registrant(profile).registers().is_challenged().gets(200)
    finished(bench.pbx(scenario.registers(expires=0).is_challenged().gets(200)))
    wait_until(lambda: not is_registered(bench, profile), "the PBX to be unregistered")


def test_sipp_registers_over_tcp(bench):
    profile = bench.profile()
    finished(bench.pbx(Registrant(profile).registers().is_challenged().gets(200), transport="tcp"))


@pytest.mark.parametrize("digest", ["md5", "sha256_and_md5"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_pjsua2_registers_and_leaves(bench, transport, digest):
    profile = bench.profile(digest=digest)
    pbx = bench.pjsua(profile, transport=transport)
    assert is_registered(bench, profile)
    pbx.do("unregister")
    assert pbx.expect("registration")["code"] == 200
    wait_until(lambda: not is_registered(bench, profile), "the PBX to be unregistered")


def test_baresip_registers_over_tls(bench):
    profile = bench.profile()
    bench.baresip(profile, transport="tls")
    assert is_registered(bench, profile)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_lost_connection_ends_the_registration(bench, transport):
    profile = bench.profile()
    pbx = bench.pjsua(profile, transport=transport)
    pbx.kill()
    wait_until(lambda: not is_registered(bench, profile), "the lost PBX to be unregistered")


def test_the_newest_registration_wins(bench):
    profile = bench.profile(numbers=[DID])
    old = bench.pjsua(profile, name="old")
    new = bench.pjsua(profile, name="new")
    carrier = bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().hangs_up())
    new.incoming().answer().is_confirmed()
    finished(carrier)
    assert not [event for event in old.events() if event["event"] == "incoming"]


def test_a_new_password_does_not_disconnect_the_pbx(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    bench.gateway.new_password(profile)
    carrier = bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().hangs_up())
    finished(carrier, pbx)
    finished(bench.pbx(Registrant(profile).registers().is_challenged().gets(403)))


def test_options_from_a_known_peer_is_answered(bench):
    carrier = bench.carrier_calls(Caller(bench.outside, "anything").asks("OPTIONS", 200))
    finished(carrier)
    [answer] = carrier.received(200)
    assert {"INVITE", "ACK", "CANCEL", "OPTIONS", "BYE"} <= set(re.split(r"\s*,\s*", answer["Allow"]))


def test_a_registration_outlives_our_restart(bench):
    profile = bench.profile(numbers=[DID])
    pbx = bench.registered_pbx(profile, Callee().is_invited().answers().is_hung_up())
    bench.gateway.stop()
    bench.gateway.start()
    assert is_registered(bench, profile)
    finished(bench.carrier_calls(Caller(bench.outside, DID).invites().is_answered().hangs_up()), pbx)

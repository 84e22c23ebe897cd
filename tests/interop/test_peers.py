"""The peers against one another, without the gateway: a failure here is the bench's, not the gateway's."""

import tone
from peers.baresip import Baresip
from peers.pjsua import Pjsua
from peers.process import free_port
from peers.scenario import Callee, Caller, Identity, audio
from peers.sipp import Sipp

ALICE = Identity("alice", "127.0.0.1", "secret")


def test_sipp_calls_sipp_with_digest_and_reinvite(tmp_path):
    callee = Callee().challenges("bench").rings().answers().is_reinvited(audio("recvonly", 2)).is_hung_up()
    caller = Caller(ALICE, "100").invites().is_challenged().hears(180).is_answered()
    with Sipp(tmp_path, "callee", callee, address="127.0.0.2") as there:
        with Sipp(tmp_path, "caller", caller.reinvites(audio("sendonly", 2)).hangs_up(), remote=there.contact):
            pass
    assert len(there.received("INVITE")) == 3


def test_sipp_cancels_sipp(tmp_path):
    caller = Caller(ALICE, "100").invites().hears(180).cancels()
    with Sipp(tmp_path, "callee", Callee().is_invited().rings().is_cancelled(), address="127.0.0.2") as there:
        with Sipp(tmp_path, "caller", caller, remote=there.contact):
            pass


def test_pjsua_hears_pjsua_through_srtp(tmp_path, tones):
    ports = free_port(), free_port()
    here, there = (
        dict(transport="udp", port=port, id=f"sip:ua@127.0.0.1:{port}", srtp="mandatory") for port in ports
    )
    with (
        Pjsua(tmp_path, "here", play=tones.low, record=tmp_path / "here.wav", **here) as caller,
        Pjsua(tmp_path, "there", play=tones.high, record=tmp_path / "there.wav", **there) as callee,
    ):
        call = caller.dial(f"sip:ua@127.0.0.1:{ports[1]}")
        other = callee.incoming().answer()
        call.is_confirmed(), other.is_confirmed()
        tone.until_heard(tmp_path / "here.wav", tones.HIGH)
        tone.until_heard(tmp_path / "there.wav", tones.LOW)
        assert call.stats()["secure"] and other.stats()["secure"]
        call.dtmf("19#")
        assert other.heard_digits(3) == "19#"
        call.hang_up().ends(), other.ends()
    assert tone.heard_seconds(tmp_path / "here.wav", tones.LOW) == 0


def test_baresip_hears_pjsua_through_sdes(tmp_path, tones):
    port = free_port()
    options = dict(transport="udp", port=port, id=f"sip:ua@127.0.0.1:{port}", srtp="mandatory")
    with (
        Pjsua(tmp_path, "pjsua", play=tones.low, record=tmp_path / "pjsua.wav", **options) as callee,
        Baresip(tmp_path, "baresip", "sip:b@127.0.0.1", srtp="srtp-mand", play=tones.high) as caller,
    ):
        caller.dial(f"sip:ua@127.0.0.1:{port}")
        call = callee.incoming().answer().is_confirmed()
        caller.established()
        tone.until_heard(tmp_path / "pjsua.wav", tones.HIGH)
        tone.until_heard(caller.recording(), tones.LOW)
        assert call.stats()["secure"]
        call.hang_up().ends(), caller.ended()

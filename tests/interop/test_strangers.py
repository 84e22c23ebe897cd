"""Strangers guess passwords and throw junk; whoever has proved a password notices nothing of it."""

import hashlib
import re
import socket
import time
from itertools import count
from pathlib import Path

import pytest

from bench import LONDON, finished
from peers.process import free_port, wait_until
from peers.scenario import Callee, Caller, Registrant

GUESSER, SECOND_GUESSER = "127.0.0.66", "127.0.0.67"
NOBODY = "99050000000999"


def md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode()).hexdigest()


class Guesser:
    """Somebody who tries passwords, from one socket."""

    def __init__(self, gateway, address: str):
        gateway.ensure_running()
        self.gateway, self.address = gateway, address
        self._numbers = count(1)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect((gateway.address, gateway.udp))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def say(self, data: bytes):
        self._socket.send(data)

    def hear(self, seconds: float) -> str | None:
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(65536).decode()
        except TimeoutError:
            return None

    def register(self, user: str, *headers: str, method: str = "REGISTER", seconds: float = 1.0) -> str | None:
        """A request without credentials, or with those in `headers`; gives the answer to it."""
        number = next(self._numbers)
        domain, port = self.gateway.domain, self._socket.getsockname()[1]
        lines = [
            f"{method} sip:{domain} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address}:{port};branch=z9hG4bK{self.address}{number};rport",
            f"From: <sip:{user}@{domain}>;tag=f{number}",
            f"To: <sip:{user}@{domain}>",
            f"Call-ID: {number}@{self.address}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{user}@{self.address}:{port}>",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        self.say(("\r\n".join(lines) + "\r\n\r\n").encode())
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            answer = self.hear(left)
            if answer and f"Call-ID: {number}@" in answer:
                return answer
        return None

    def proof(self, challenge: str, user: str, password: str) -> str:
        nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
        realm, uri = self.gateway.domain, f"sip:{self.gateway.domain}"
        response = md5(md5(user, realm, password), nonce, "00000001", "c", "auth", md5("REGISTER", uri))
        return (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, cnonce="c", nc=00000001, qop=auth'
        )

    def guess(self, user: str, password: str, seconds: float = 1.0) -> tuple[str | None, str | None]:
        """The answers to a request without credentials and to one with this password."""
        challenge = self.register(user, seconds=seconds)
        if challenge is None:
            return None, None
        return challenge, self.register(user, self.proof(challenge, user, password), seconds=seconds)


def status(answer: str | None) -> int | None:
    return int(answer.split()[1]) if answer else None


def test_a_guesser_is_slowed_and_silenced_and_the_pbx_of_that_name_is_not(bench):
    gateway, profile = bench.gateway, bench.profile(digest="md5")
    carrier = bench.carrier(Callee().is_invited().answers().is_hung_up(), calls=2)
    port = free_port(gateway.address)
    register = Registrant(profile).registers().is_challenged().gets(200)
    call = Caller(profile, LONDON).invites().is_challenged().is_answered().hangs_up()
    finished(bench.pbx(register, port=port))
    finished(bench.pbx(call))
    with Guesser(gateway, GUESSER) as guesser:
        answers = [guesser.guess(profile.user, f"wrong-{number}", 0.05)[1] for number in range(200)]
        assert 10 <= [status(answer) for answer in answers].count(403) <= 16
        assert guesser.register(NOBODY) is None, "not even a challenge"
        [ban] = gateway.cli("bans", "list")
        assert (ban["kind"], ban["whom"], ban["user"]) == ("source", GUESSER, profile.user)
        assert gateway.metric("sipgw_bans", kind="source") == 1
        assert 10 <= gateway.metric("sipgw_auth_failures_total", reason="bad_credentials") <= 16
        assert gateway.metric("sipgw_sip_dropped_total", reason="a banned source") > 0
        finished(bench.pbx(register, port=port))
        finished(bench.pbx(call), carrier)
        gateway.cli("bans", "release", GUESSER)
        assert gateway.cli("bans", "list") == []
        assert [status(answer) for answer in guesser.guess(profile.user, profile.password)] == [401, 200]


def test_nothing_tells_an_unknown_user_from_a_wrong_password(bench):
    gateway, profile = bench.gateway, bench.profile()
    own = re.compile(r'^(Via|From|To|Call-ID|CSeq): .*\r\n|nonce="[^"]+"', re.MULTILINE)
    with Guesser(gateway, GUESSER) as guesser:
        stories = [[own.sub("", answer) for answer in guesser.guess(user, "wrong")] for user in (profile.user, NOBODY)]
    assert stories[0] == stories[1]
    assert status(stories[0][1]) == 403


def test_a_nonce_serves_nobody_else(bench):
    gateway, profile = bench.gateway, bench.profile(digest="md5")
    with Guesser(gateway, GUESSER) as one, Guesser(gateway, SECOND_GUESSER) as other:
        challenge = one.register(profile.user)
        proof = one.proof(challenge, profile.user, profile.password)
        answer = other.register(profile.user, proof)
        assert status(answer) == 401 and "stale=true" in answer.lower()
        assert status(one.register(profile.user, proof)) == 200
        again = one.register(profile.user, proof)
        assert status(again) == 401 and "stale=true" in again.lower(), "and to its owner once"
    assert gateway.metric("sipgw_auth_failures_total") == 0


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE"])
def test_a_scanner_hears_nothing(bench, method):
    with Guesser(bench.gateway, GUESSER) as scanner:
        assert scanner.register("100", "User-Agent: friendly-scanner", method=method) is None
        assert scanner.register("100", method=method) is not None


def resident_kib(gateway) -> int:
    statm = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", statm)[1])


def test_junk_leaves_no_transaction_and_takes_no_memory(bench):
    gateway, profile = bench.gateway, bench.profile()
    with Guesser(gateway, GUESSER) as guesser:

        def flood(datagrams: int):
            for number in range(datagrams):
                half = f"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK{number}\r\n".encode()
                guesser.say((b"\x16\x03junk", b"GET / HTTP/1.1\r\n\r\n", half, half + b"\r\n", b"\xff" * 1200)[number % 5])
                if number % 200 == 0:
                    time.sleep(0.005)

        # Whatever is allocated once is allocated now.
        flood(2_000)
        time.sleep(0.5)
        before = resident_kib(gateway)
        flood(20_000)
        time.sleep(0.5)
        assert resident_kib(gateway) - before < 2_048
    wait_until(lambda: gateway.cli("status")["transactions"] == 0, "no transaction to be left", 5)
    assert gateway.metric("sipgw_sip_dropped_total") > 5_000
    finished(bench.pbx(Registrant(profile).registers().is_challenged().gets(200)))

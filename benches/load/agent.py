"""Both ends of a call in one process: the PBX that dials and the carrier that answers, as plain as they can be."""

import hashlib
import itertools
import re
import socket
import time
from dataclasses import dataclass, field

from sides import CARRIER, DOMAIN, SIP

DIALLED = "+442079460123"
PBX = ("127.0.0.1", 5071)
_serial = itertools.count(1)


@dataclass
class Message:
    """A SIP message, its header fields by lower-case name in the order they came."""

    start: str
    headers: list[tuple[str, str]]
    body: str
    source: tuple[str, int]

    @classmethod
    def read(cls, octets: bytes, source) -> "Message":
        head, _, body = octets.decode(errors="replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, [(name.strip().lower(), value.strip()) for name, _, value in pairs], body, source)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        return self.all(name)[0]

    @property
    def status(self) -> int:
        return int(self.start.split()[1]) if self.start.startswith("SIP/") else 0

    @property
    def target(self) -> str:
        """The URI of its Contact."""
        return re.search(r"<([^>]+)>", self.one("contact"))[1]


class End:
    """A socket that speaks SIP."""

    def __init__(self, address):
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self._socket.bind(address)
        self._socket.settimeout(3)

    def send(self, lines: list[str], body: str, to):
        head = lines + (["Content-Type: application/sdp"] if body else []) + [f"Content-Length: {len(body)}", "", ""]
        self._socket.sendto(("\r\n".join(head) + body).encode(), to)

    def waits_for(self, *what) -> Message:
        """The next message that is one of these methods or statuses; what else comes is passed over."""
        while True:
            message = Message.read(*self._socket.recvfrom(65535))
            if message.status in what or message.start.split()[0] in what:
                return message
            if message.status >= 300:
                raise RuntimeError(f"waited for {what}, got {message.start}: {message.headers}")

    def answers(self, request: Message, status: str, tag: str, body: str = ""):
        lines = [f"SIP/2.0 {status}"]
        for name in ("via", "record-route", "from", "call-id", "cseq"):
            lines += [f"{name.title()}: {value}" for value in request.all(name)]
        to = request.one("to")
        lines += [f"To: {to}" if "tag=" in to else f"To: {to};tag={tag}"]
        lines += [f"Contact: <sip:callee@{self.address[0]}:{self.address[1]}>"]
        self.send(lines, body, request.source)

    def close(self):
        self._socket.close()


@dataclass
class Call:
    """One call, from its first INVITE on."""

    user: str
    password: str
    next_hop: tuple[str, int]
    serial: int = field(default_factory=lambda: next(_serial))
    cseq: int = 0
    to_tag: str = ""
    target: str = f"sip:{DIALLED}@{DOMAIN}"
    routes: list[str] = field(default_factory=list)
    delay_us: float = 0.0

    def request(self, method: str, *more: str) -> list[str]:
        self.cseq += method != "ACK"
        branch = f"z9hG4bK{self.serial}x{self.cseq}" + ("ack" if method == "ACK" and self.to_tag else "")
        return [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {PBX[0]}:{PBX[1]};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{DOMAIN}>;tag=f{self.serial}",
            f"To: <sip:{DIALLED}@{DOMAIN}>{self.to_tag}",
            f"Call-ID: {self.serial}@load",
            f"CSeq: {self.cseq} {method}",
            f"Contact: <sip:{self.user}@{PBX[0]}:{PBX[1]}>",
            *(f"Route: {route}" for route in self.routes),
            *more,
        ]

    def proof(self, challenge: str) -> str:
        """The answer to a challenge (RFC 2617 section 3.2.2)."""
        given = {key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', challenge)}
        realm, nonce, uri = given["realm"], given["nonce"], self.target
        secret = _md5(f"{self.user}:{realm}:{self.password}")
        words = f'username="{self.user}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm=MD5'
        middle = nonce
        if "qop" in given:
            middle = f"{nonce}:00000001:c{self.serial}:auth"
            words += f', qop=auth, nc=00000001, cnonce="c{self.serial}"'
        if "opaque" in given:
            words += f', opaque="{given["opaque"]}"'
        return f'Proxy-Authorization: Digest {words}, response="{_md5(f"{secret}:{middle}:" + _md5(f"INVITE:{uri}"))}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Pair:
    """The PBX and the carrier."""

    def __init__(self):
        self.pbx, self.carrier = End(PBX), End(CARRIER)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pbx.close()
        self.carrier.close()

    def call(self, user: str, password: str, offer: str, answer, next_hop=SIP) -> tuple[Call, str, str]:
        """Sets a call up; `answer` makes the carrier's description from the one it gets. Returns the call, and the
        descriptions that the carrier and the PBX got."""
        call = Call(user, password, next_hop)
        began = time.perf_counter()
        self.pbx.send(call.request("INVITE"), offer, next_hop)
        if next_hop == SIP:
            challenge = self.pbx.waits_for(407)
            call.to_tag = ";tag=" + challenge.one("to").rpartition("tag=")[2]
            lines = call.request("ACK")
            # The ACK of a refusal belongs to the transaction of its INVITE (RFC 3261 section 17.1.1.3).
            lines[1] = lines[1].replace("ack;", ";")
            self.pbx.send(lines, "", next_hop)
            call.to_tag = ""
            proof = call.proof(challenge.one("proxy-authenticate"))
            self.pbx.send(call.request("INVITE", proof), offer, next_hop)
        invite = self.carrier.waits_for("INVITE")
        self.carrier.answers(invite, "180 Ringing", f"t{call.serial}")
        self.pbx.waits_for(180)
        call.delay_us = 1e6 * (time.perf_counter() - began)
        self.carrier.answers(invite, "200 OK", f"t{call.serial}", answer(invite.body))
        answered = self.pbx.waits_for(200)
        call.to_tag = ";tag=" + answered.one("to").rpartition("tag=")[2]
        call.target = answered.target
        call.routes = [route for value in answered.all("record-route") for route in value.split(",")][::-1]
        self.pbx.send(call.request("ACK"), "", next_hop)
        self.carrier.waits_for("ACK")
        return call, invite.body, answered.body

    def hang_up(self, call: Call):
        self.pbx.send(call.request("BYE"), "", call.next_hop)
        bye = self.carrier.waits_for("BYE")
        self.carrier.answers(bye, "200 OK", "")
        self.pbx.waits_for(200)


def users(path) -> list[tuple[str, str]]:
    """Names and passwords from the file that sipp reads."""
    return re.findall(r"username=(\S+) password=([^\]]+)\]", path.read_text())

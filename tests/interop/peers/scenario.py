"""sipp scenarios, built step by step so that a test reads like the call it describes.

A `Caller` places a call, a `Callee` takes one, a `Registrant` registers. Each method adds one step and returns
the scenario, so that a call is a chain: `Caller(pbx, number).invites().is_challenged().hears(180).is_answered()`.
"""

from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

AUDIO = """v=0
o=- 3890844516 {version} IN IP4 [local_ip]
s=interop
c=IN IP4 {address}
t=0 0
m=audio [media_port] RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a={direction}
"""


def audio(direction: str = "sendrecv", version: int = 1, address: str = "[media_ip]") -> str:
    """A session description of one audio stream."""
    return AUDIO.format(direction=direction, version=version, address=address)


# The header fields that an answer repeats, besides Call-ID.
KEPT = {"via": "Via", "from": "From", "to": "To", "cseq": "CSeq"}


@dataclass(frozen=True)
class Identity:
    """Who a user agent says it is, and how it proves it."""

    user: str
    domain: str
    password: str = ""

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@{self.domain}"

    @property
    def authentication(self) -> str:
        return f"[authentication username={self.user} password={self.password}]"


class Scenario:
    """The steps of one sipp scenario."""

    # What the digest is computed over, without its scheme; sipp would otherwise take the peer's address.
    digest_uri: str | None = None

    def __init__(self):
        self._steps: list[str] = []
        self._variables: list[str] = []

    def send(self, *lines: str, body: str = "", **attributes):
        """One message; empty strings among the lines are left out, so that optional headers stay optional."""
        head = [line for line in lines if line]
        if body:
            head.append("Content-Type: application/sdp")
        head.append(f"Content-Length: {'[len]' if body else 0}")
        text = "\n".join(head) + "\n\n" + body
        self._steps.append(f"<send{_attributes(attributes)}><![CDATA[\n\n{text}\n]]></send>")
        return self

    def receive(self, actions: str = "", **attributes):
        inner = f"<action>{actions}</action>" if actions else ""
        self._steps.append(f"<recv{_attributes(attributes)}>{inner}</recv>")
        return self

    def waits(self, seconds: float):
        self._steps.append(f'<pause milliseconds="{int(seconds * 1000)}"/>')
        return self

    def waits_between(self, least: float, most: float):
        """A pause of a length that each call draws for itself."""
        limits = f'min="{int(least * 1000)}" max="{int(most * 1000)}"'
        self._steps.append(f'<pause distribution="uniform" {limits}/>')
        return self

    def remember(self, name: str, header: str, pattern: str = ".*") -> str:
        """An action that keeps the first group of `pattern`, or all of it, as `[$name]`."""
        self._variables.append(name)
        targets = name
        if "(" in pattern:
            self._variables.append(f"whole_{name}")
            targets = f"whole_{name},{name}"
        return (
            f'<ereg regexp={quoteattr(pattern)} search_in="hdr" header={quoteattr(header + ":")} '
            f'check_it="true" assign_to="{targets}"/>'
        )

    def keep(self, name: str) -> str:
        """An action that keeps what the answer to a request must repeat, for when other messages have come between."""
        return "".join(self.remember(f"{name}_{field}", header) for field, header in KEPT.items())

    def answer_kept(self, name: str, status: str, *headers: str, tag: str = "", **rest):
        """Answers the request that was kept under this name."""
        lines = [f"{header}:[${name}_{field}]" for field, header in KEPT.items()]
        lines[list(KEPT).index("to")] += tag
        return self.send(f"SIP/2.0 {status}", *lines, "[last_Call-ID:]", *headers, **rest)

    def xml(self) -> str:
        reference = f'<Reference variables="{",".join(self._variables)}"/>' if self._variables else ""
        steps = "\n".join(self._steps)
        return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="interop">\n{steps}\n{reference}</scenario>\n'


def _attributes(attributes: dict) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())


VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport"
SAME_VIA = "[last_Via:]"


class Caller(Scenario):
    """Places one call."""

    def __init__(
        self,
        identity: Identity,
        number: str,
        *,
        uri: str | None = None,
        caller: str | None = None,
        headers: tuple[str, ...] = (),
        max_forwards=70,
    ):
        """`caller` is what From says where that is not the identity's own URI."""
        super().__init__()
        self.identity = identity
        self.caller = caller or f"<{identity.uri}>"
        self.max_forwards = max_forwards
        self.uri = uri or f"sip:{number}@{identity.domain}"
        self.digest_uri = self.uri.removeprefix("sip:")
        self.to = f"<{self.uri}>"
        self.contact = f"Contact: <sip:{identity.user}@[local_ip]:[local_port];transport=[transport]>"
        self.headers = headers
        self.cseq = 0

    def _request(self, method: str, target: str, *more: str, via: str = VIA, body: str = "", in_dialog=True, **attributes):
        tag = "[peer_tag_param]" if in_dialog else ""
        return self.send(
            f"{method} {target} SIP/2.0",
            via,
            f"Max-Forwards: {self.max_forwards}",
            "[routes]" if in_dialog else "",
            f"From: {self.caller};tag=[pid]C[call_number]",
            f"To: {self.to}{tag}",
            "Call-ID: [call_id]",
            f"CSeq: {self.cseq} {method}",
            *more,
            body=body,
            **attributes,
        )

    def invites(self, body: str | None = None, *more: str):
        """A new call; its body defaults to an offer of plain audio, and "" makes it a late offer."""
        self.cseq += 1
        self._offer = audio() if body is None else body
        return self._request(
            "INVITE",
            self.uri,
            self.contact,
            "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE",
            "User-Agent: Asterisk PBX 20.5.0",
            *self.headers,
            *more,
            body=self._offer,
            in_dialog=False,
            retrans=500,
        )

    def is_challenged(self, code: int = 407):
        """Is asked for credentials, and calls again with them."""
        self._trying()
        self.receive(response=code, auth="true")
        self._acknowledge_refusal()
        return self.invites(self._offer, self.identity.authentication)

    def hears(self, code: int):
        self._trying()
        return self.receive(response=code)

    def is_answered(self, body: str = "", *, acks: int = 1, after: float = 0):
        """Waits for 200 and acknowledges it; `body` is the answer to a late offer."""
        for code in (100, 180, 183):
            self.receive(response=code, optional="true")
        self.receive(response=200, rrs="true")
        if after:
            self.waits(after)
        for _ in range(acks):
            self._request("ACK", "[next_url]", body=body)
        return self

    def is_refused(self, code: int):
        for earlier in (100, 180, 183):
            self.receive(response=earlier, optional="true")
        self.receive(response=code)
        return self._acknowledge_refusal()

    def cancels(self, times: int = 1):
        """CANCEL goes with the INVITE's own Via, which the last response repeated (RFC 3261 section 9.1)."""
        for number in range(times):
            self._request("CANCEL", self.uri, via=SAME_VIA, in_dialog=False)
            self.receive(response=200)
            if number == 0:
                self.receive(response=487)
                self._acknowledge_refusal()
        return self

    def reinvites(self, body: str, *, gets: int = 200, answer: str = ""):
        """Another INVITE within the call; without a body the other side makes the offer, which the ACK answers."""
        self.cseq += 1
        self._request("INVITE", "[next_url]", self.contact, body=body, retrans=500)
        self.receive(response=100, optional="true")
        self.receive(response=gets)
        via = VIA if gets == 200 else SAME_VIA
        return self._request("ACK", "[next_url]", via=via, body=answer)

    def hangs_up_while_reinviting(self, body: str):
        """BYE wins: the INVITE under way gets its 487 all the same (RFC 3261 section 15.1.2)."""
        self.cseq += 1
        self._request("INVITE", "[next_url]", self.contact, body=body)
        self.receive(response=100)
        # Until it has reached the other side.
        self.waits(0.3)
        self.cseq += 1
        self._request("BYE", "[next_url]", retrans=500)
        self.receive(response=200)
        self.receive(response=487)
        self.cseq -= 1
        return self._request("ACK", "[next_url]", via=SAME_VIA)

    def updates_while_reinvited(self, body: str):
        """Is offered something, and offers something else before it has answered: one offer at a time (RFC 3311)."""
        kept = self.keep("theirs")
        self.receive(kept, request="INVITE")
        self.cseq += 1
        self._request("UPDATE", "[next_url]", self.contact, body=body, retrans=500)
        self.receive(response=491)
        self.answer_kept("theirs", "200 OK", self.contact, body=body, retrans=500)
        return self.receive(request="ACK")

    def hangs_up(self, *headers: str):
        self.cseq += 1
        self._request("BYE", "[next_url]", *headers, retrans=500)
        return self.receive(response=200)

    def is_hung_up(self):
        self.receive(request="BYE")
        return self.send("SIP/2.0 200 OK", SAME_VIA, "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]")

    def is_reinvited(self, body: str):
        self.receive(request="INVITE")
        answer = ("[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]")
        self.send("SIP/2.0 200 OK", *answer, self.contact, body=body, retrans=500)
        return self.receive(request="ACK")

    def asks(self, method: str, code: int = 200):
        """A request of another method outside a dialog."""
        self.cseq += 1
        self._request(method, self.uri, self.contact, in_dialog=False, retrans=500)
        return self.receive(response=code)

    def _trying(self):
        return self.receive(response=100, optional="true")

    def _acknowledge_refusal(self):
        return self.send(
            f"ACK {self.uri} SIP/2.0",
            SAME_VIA,
            "Max-Forwards: 70",
            f"From: {self.caller};tag=[pid]C[call_number]",
            "[last_To:]",
            "Call-ID: [call_id]",
            f"CSeq: {self.cseq} ACK",
        )


# The tag of whoever takes a call.
TAG = ";tag=[pid]S[call_number]"


class Callee(Scenario):
    """Takes one call."""

    CONTACT = "Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>"

    def __init__(self):
        super().__init__()
        self.cseq = 0

    def is_invited(self):
        remembered = (
            self.keep("invite")
            + self.remember("caller", "From")
            + self.remember("called", "To")
            + self.remember("target", "Contact", "<(sip:[^>]*)>")
        )
        return self.receive(remembered, request="INVITE")

    def challenges(self, realm: str, code: int = 407):
        """Asks for credentials, as carriers do that are not told our address, and takes the second INVITE."""
        header = "Proxy-Authenticate" if code == 407 else "WWW-Authenticate"
        self.receive(request="INVITE")
        challenge = f'{header}: Digest realm="{realm}", nonce="0123456789abcdef", algorithm=MD5, qop="auth"'
        self._respond(f"{code} Unauthorized", challenge)
        self.receive(request="ACK")
        return self.is_invited()

    def rings(self, device: str = ""):
        """Rings; each device behind the callee has a tag of its own."""
        return self._respond("180 Ringing", self.CONTACT, tag=f";tag={device}" if device else TAG)

    def plays_early_media(self):
        return self._respond("183 Session Progress", self.CONTACT, body=audio())

    def answers(self, body: str | None = None):
        """Answers and waits for the ACK."""
        self._respond("200 OK", self.CONTACT, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS", body=audio() if body is None else body, retrans=500)
        return self.receive(request="ACK")

    def refuses(self, status: str, *headers: str):
        self._respond(status, *headers, retrans=500)
        return self.receive(request="ACK")

    def is_cancelled(self):
        """Answers the CANCEL, then the INVITE with 487 (RFC 3261 section 9.2)."""
        self.receive(self.remember("cancel_via", "Via"), request="CANCEL")
        self._respond("200 OK")
        self.send(
            "SIP/2.0 487 Request Terminated",
            "Via:[$cancel_via]",
            "[last_From:]",
            "[last_To:];tag=[pid]S[call_number]",
            "[last_Call-ID:]",
            "CSeq: [last_cseq_number] INVITE",
            retrans=500,
        )
        return self.receive(request="ACK")

    def is_reinvited(self, body: str | None = None, status: str = "200 OK"):
        """Takes an INVITE inside the call, whose To already has our tag, or refuses it."""
        self.receive(request="INVITE")
        body = (audio() if body is None else body) if status.startswith("200") else ""
        self._respond(status, self.CONTACT, body=body, tag="", retrans=500)
        return self.receive(request="ACK")

    def answers_though_cancelled(self):
        """Its 200 crosses the CANCEL: the call that nobody wants is acknowledged and hung up."""
        self.receive(request="CANCEL")
        self._respond("200 OK")
        self.answer_kept("invite", "200 OK", self.CONTACT, tag=TAG, body=audio(), retrans=500)
        self.receive(request="ACK")
        return self.is_hung_up()

    def meets_the_reinvite_with_its_own(self, body: str):
        """Both have offered at once: both are told to wait (RFC 3261 section 14.2)."""
        self.receive(self.keep("theirs"), request="INVITE")
        self._request("INVITE", self.CONTACT, body=body)
        self.receive(response=100, optional="true")
        self.receive(response=491)
        self.cseq -= 1
        self._request("ACK", via=SAME_VIA)
        self.answer_kept("theirs", "491 Request Pending", retrans=500)
        return self.receive(request="ACK")

    def is_hung_up_while_reinvited(self):
        self.receive(self.keep("theirs"), request="INVITE")
        self._respond("100 Trying", tag="")
        self.is_hung_up()
        self.answer_kept("theirs", "487 Request Terminated", retrans=500)
        return self.receive(request="ACK")

    def meets_the_goodbye_with_its_own(self):
        """Both hang up at once: each BYE is answered."""
        self.receive(self.keep("theirs"), request="BYE")
        self._request("BYE")
        self.receive(response=200)
        return self.answer_kept("theirs", "200 OK")

    def second_device_answers(self):
        """Another 200 with another tag: that device is acknowledged and hung up."""
        self.answer_kept("invite", "200 OK", self.CONTACT, tag=";tag=second", body=audio())
        self.receive(request="ACK")
        return self.is_hung_up()

    def is_hung_up(self):
        self.receive(request="BYE")
        return self._respond("200 OK", tag="")

    def hangs_up(self, *headers: str):
        self._request("BYE", *headers, retrans=500)
        return self.receive(response=200)

    def reinvites(self, body: str):
        self._request("INVITE", self.CONTACT, body=body, retrans=500)
        self.receive(response=100, optional="true")
        self.receive(response=200)
        self.cseq -= 1
        return self._request("ACK")

    def _request(self, method: str, *more: str, via: str = VIA, **rest):
        """A request inside the call, whose From and To are the INVITE's, turned round."""
        self.cseq += 1
        return self.send(
            f"{method} [$target] SIP/2.0",
            via,
            "Max-Forwards: 70",
            "From:[$called];tag=[pid]S[call_number]",
            "To:[$caller]",
            "[last_Call-ID:]",
            f"CSeq: {self.cseq} {method}",
            *more,
            **rest,
        )

    def _respond(self, status: str, *headers: str, body: str = "", tag: str = TAG, **attributes):
        return self.send(
            f"SIP/2.0 {status}",
            SAME_VIA,
            "[last_Record-Route:]",
            "[last_From:]",
            f"[last_To:]{tag}",
            "[last_Call-ID:]",
            "[last_CSeq:]",
            *headers,
            body=body,
            **attributes,
        )


class Registrant(Scenario):
    """Sends REGISTER requests of one Call-ID."""

    def __init__(self, identity: Identity):
        super().__init__()
        self.identity = identity
        self.digest_uri = identity.domain
        self.cseq = 0

    @property
    def contact(self) -> str:
        return f"<sip:{self.identity.user}@[local_ip]:[local_port];transport=[transport];rinstance=3e5b1c9a>"

    def registers(
        self, contact: str | None = "", *more: str, expires: int | None = 300, max_forwards: int = 70
    ):
        """A REGISTER; an empty contact is our usual one, `None` asks for what is registered."""
        self.cseq += 1
        contact = self.contact if contact == "" else contact
        self._again = (contact, more, expires)
        return self.send(
            f"REGISTER sip:{self.identity.domain} SIP/2.0",
            VIA,
            f"Max-Forwards: {max_forwards}",
            f"From: <{self.identity.uri}>;tag=[pid]R[call_number]",
            f"To: <{self.identity.uri}>",
            "Call-ID: [call_id]",
            f"CSeq: {self.cseq} REGISTER",
            f"Contact: {contact}" if contact else "",
            f"Expires: {expires}" if expires is not None else "",
            "User-Agent: Asterisk PBX 20.5.0",
            *more,
            retrans=500,
        )

    def is_challenged(self, identity: Identity | None = None):
        """Gets 401 and sends the same REGISTER with credentials."""
        self.receive(response=401, auth="true")
        contact, more, expires = self._again
        others = (line for line in more if not line.startswith("Authorization:"))
        return self.registers(contact, *others, (identity or self.identity).authentication, expires=expires)

    def gets(self, code: int):
        return self.receive(response=code)

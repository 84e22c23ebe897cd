"""A gateway with its neighbours: what a test needs to set a call up in a few lines."""

from contextlib import ExitStack
from pathlib import Path

from gateway import LOOPBACK6, OUTSIDE, Gateway, Profile
from peers.baresip import Baresip
from peers.process import free_port, wait_until
from peers.pjsua import Pjsua
from peers.scenario import Identity, Registrant, Scenario
from peers.sipp import Sipp

# Each neighbour has a loopback address of its own, because the gateway knows carriers and some PBXs by address.
CARRIER, SECOND_CARRIER, IP_PBX = "127.0.0.2", "127.0.0.3", "127.0.0.4"

LONDON = "+442079460123"
TALLINN = "+3726001234"
STEEP = "+881612345678"
ECHO = "+17606604690"
DID, OTHER_DID = "+12026843376", "+12026555376"


class Bench:
    """A running gateway, and peers that end with the test."""

    def __init__(self, folder: Path, gateway: Gateway, tones):
        self.folder, self.gateway, self.tones = folder, gateway, tones
        self._stack = ExitStack()
        self._names = 0

    def close(self):
        self._stack.close()

    @property
    def outside(self) -> Identity:
        """Somebody in the telephone network, as the carrier presents them."""
        return Identity("+12155550142", self.gateway.domain)

    def profile(self, **settings) -> Profile:
        """A profile with channels and credit; `numbers`, `ip` and the rest as a test needs."""
        return self.gateway.add_profile(**settings)

    def _name(self, name: str) -> str:
        self._names += 1
        return f"{self._names}-{name}"

    def sipp(self, name: str, scenario: Scenario, **options) -> Sipp:
        """A sipp that plays this scenario; `finished` on it says whether it went as written."""
        peer = Sipp(self.folder, self._name(name), scenario, **options)
        self._stack.callback(peer.kill)
        return peer.__enter__()

    def pbx(self, scenario: Scenario, **options) -> Sipp:
        """A PBX that speaks to the gateway."""
        self.gateway.ensure_running()
        return self.sipp("pbx", scenario, remote=self.gateway.sip, **options)

    def carrier(
        self, scenario: Scenario, *, address: str = CARRIER, name: str = "carrier", calls: int = 1, **settings
    ) -> Sipp:
        """A carrier that takes calls, known to the gateway."""
        peer = self.sipp(name, scenario, address=address, calls=calls)
        self.gateway.add_carrier(name, address, peer.port, **settings)
        return peer

    def registered_pbx(self, profile: Profile, scenario: Scenario, **options) -> Sipp:
        """A PBX that has registered and now waits for calls at the same port."""
        port = free_port(self.gateway.address)
        finished(self.pbx(Registrant(profile).registers().is_challenged().gets(200), port=port))
        return self.sipp("pbx", scenario, port=port, **options)

    def carrier_calls(self, scenario: Scenario, **options) -> Sipp:
        """A carrier that calls in from its known address."""
        self.gateway.ensure_running()
        return self.sipp("carrier", scenario, address=OUTSIDE, remote=self.gateway.sip, **options)

    def pjsua(
        self, profile: Profile, *, scheme: str = "sip", transport: str = "udp", name: str = "pjsua", **options
    ) -> Pjsua:
        """A PBX made of pjsua2, registered; with the scheme sips all its URIs have it."""
        gateway = self.gateway
        gateway.ensure_running()
        port = gateway.tls if transport == "tls" else gateway.udp
        peer = Pjsua(
            self.folder,
            self._name(name),
            transport=transport,
            id=profile.uri.replace("sip:", f"{scheme}:", 1),
            registrar=f"{scheme}:{gateway.domain}",
            proxy=f"{scheme}:{gateway.address}:{port};transport={transport};lr",
            user=profile.user,
            password=profile.password,
            ca=gateway.certificate,
            **options,
        )
        self._stack.enter_context(peer)
        peer.registered()
        return peer

    def pjsua_carrier(self, *, transport: str = "udp", carrier_srtp: str = "off", **options) -> Pjsua:
        """A carrier made of pjsua2: it takes part in the media, where sipp only signals."""
        # A TLS transport of pjsip listens at the port itself, with the carrier's certificate.
        port = free_port(CARRIER)
        if transport == "tls":
            gateway = self.gateway
            options |= {"ca": gateway.certificate, "certificate": gateway.carrier_certificate, "key": gateway.carrier_key}
        uri = f"sip:carrier@{CARRIER}:{port};transport={transport}"
        peer = Pjsua(
            self.folder, self._name("carrier"), transport=transport, address=CARRIER, port=port, id=uri, **options
        )
        self._stack.enter_context(peer)
        self.gateway.add_carrier("carrier", CARRIER, port, transport=transport, srtp=carrier_srtp)
        return peer

    def baresip(
        self,
        profile: Profile,
        *,
        scheme: str = "sip",
        transport: str = "udp",
        srtp: str | None = None,
        **options,
    ) -> Baresip:
        """A PBX made of baresip, registered."""
        gateway = self.gateway
        gateway.ensure_running()
        port = gateway.tls if transport == "tls" else gateway.udp
        host = f"[{LOOPBACK6}]" if options.get("address") == LOOPBACK6 else gateway.address
        peer = Baresip(
            self.folder,
            self._name("baresip"),
            profile.uri.replace("sip:", f"{scheme}:", 1),
            user=profile.user,
            password=profile.password,
            transport=transport,
            # baresip's stack takes no other scheme for a proxy, whatever the account's is.
            outbound=f"sip:{host}:{port};transport={transport}",
            expires=300,
            srtp=srtp,
            ca=gateway.certificate,
            **options,
        )
        self._stack.enter_context(peer)
        peer.registered()
        return peer

    # What the gateway made of it.

    def cdr(self, count: int = 1) -> dict:
        """The latest of exactly `count` records, once all calls have settled."""
        self.gateway.has_settled()
        records = wait_until(lambda: len(found := self.gateway.cdrs()) >= count and found, f"{count} records")
        assert len(records) == count, records
        return records[-1]


def finished(*peers: Sipp):
    """Every scenario went as written."""
    for peer in peers:
        peer.finished()

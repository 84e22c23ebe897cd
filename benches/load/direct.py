"""How long a call takes from its first INVITE to 180, through a side or with nothing between."""

import os

from agent import Pair, users
from description import described
from pinned import GENERATOR
from sides import CARRIER, SIP


class Direct:
    """The side that is not there: the PBX calls the carrier itself."""

    name = "direct"

    def start(self):
        """Nothing to start."""

    def stop(self):
        """Nothing to stop."""


def delays_us(side, count: int) -> list[float]:
    """Sorted delays of calls made one at a time."""
    os.sched_setaffinity(0, {GENERATOR})
    is_direct = isinstance(side, Direct)
    known = [("direct", "")] if is_direct else users(side.users)
    delays = []
    with Pair() as pair:
        # The first few are for caches.
        for place in range(count + 20):
            user, password = known[place % len(known)]
            next_hop = CARRIER if is_direct else SIP
            call, _, _ = pair.call(user, password, described(30000), lambda _: described(40000), next_hop)
            pair.hang_up(call)
            if place >= 20:
                delays.append(call.delay_us)
    return sorted(delays)

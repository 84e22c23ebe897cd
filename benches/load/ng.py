"""rtpengine's ng protocol: bencode over UDP, as much of it as sets a call up."""

import itertools
import os
import socket

NG_PORT = 9222

# rtpengine answers a cookie it has seen with what it said then, so no two lines may share one.
_serial = itertools.count(1)


def encoded(value) -> bytes:
    match value:
        case dict():
            return b"d" + b"".join(encoded(key) + encoded(value[key]) for key in sorted(value)) + b"e"
        case list():
            return b"l" + b"".join(map(encoded, value)) + b"e"
        case int():
            return b"i%de" % value
        case str():
            return encoded(value.encode())
    return b"%d:%s" % (len(value), value)


def decoded(octets: bytes, at: int = 0):
    """The value that begins at `at`, and where it ends."""
    kind = octets[at : at + 1]
    if kind in (b"d", b"l"):
        items, at = [], at + 1
        while octets[at : at + 1] != b"e":
            item, at = decoded(octets, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        return {key.decode(): value for key, value in zip(items[::2], items[1::2])}, at + 1
    if kind == b"i":
        end = octets.index(b"e", at)
        return int(octets[at + 1 : end]), end + 1
    colon = octets.index(b":", at)
    end = colon + 1 + int(octets[at:colon])
    return octets[colon + 1 : end], end


class Ng:
    """A line to rtpengine."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", NG_PORT))
        self._socket.settimeout(1)

    def __call__(self, **command) -> dict:
        cookie = b"%d_%d " % (os.getpid(), next(_serial))
        self._socket.send(cookie + encoded({key.replace("_", "-"): value for key, value in command.items()}))
        while not (answer := self._socket.recv(65535)).startswith(cookie):
            pass
        answer, _ = decoded(answer[len(cookie) :])
        if answer.get("result") not in (b"ok", b"pong"):
            raise RuntimeError(f"rtpengine: {answer}")
        return answer

    @classmethod
    def answers(cls) -> bool:
        try:
            return cls()(command="ping")["result"] == b"pong"
        except OSError:
            return False

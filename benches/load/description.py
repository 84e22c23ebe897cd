"""Session descriptions of the ends, with and without SRTP."""

import base64
import hashlib
import re

SUITE = "AES_CM_128_HMAC_SHA1_80"


def key(name: str) -> str:
    """Master key and salt, base64, different for every name."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:30]).decode()


def described(port: int, inline: str | None = None, tag: str = "1") -> str:
    """One audio stream at this port."""
    protocol = "RTP/SAVP" if inline else "RTP/AVP"
    crypto = [f"a=crypto:{tag} {SUITE} inline:{inline}"] if inline else []
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    lines += [f"m=audio {port} {protocol} 8", "a=rtpmap:8 PCMA/8000", *crypto, "a=sendrecv", ""]
    return "\r\n".join(lines)


def relay_port(text: str) -> str:
    """Where the relay wants the stream."""
    host = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE)[1]
    port = re.search(r"^m=audio (\d+)", text, re.MULTILINE)[1]
    return f"{host}:{port}"


def crypto(text: str) -> tuple[str, str]:
    """Tag and key of the line with our suite."""
    return re.search(rf"^a=crypto:(\d+) {SUITE} inline:([A-Za-z0-9+/=]+)", text, re.MULTILINE).groups()

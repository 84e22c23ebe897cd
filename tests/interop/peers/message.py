"""A SIP message as text, read just far enough for a test to look at it."""

import re
from dataclasses import dataclass, field

COMPACT = {"v": "via", "f": "from", "t": "to", "m": "contact", "i": "call-id", "l": "content-length", "c": "content-type", "k": "supported"}


@dataclass
class Message:
    start: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    direction: str = ""

    @classmethod
    def parse(cls, text: str, direction: str = "") -> "Message":
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        start, *lines = head.strip("\n").split("\n")
        pairs = (line.partition(":") for line in lines if ":" in line)
        headers = [(COMPACT.get(name.strip().lower(), name.strip().lower()), value.strip()) for name, _, value in pairs]
        return cls(start, headers, body, direction)

    @property
    def status(self) -> int:
        """The status code, 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The request's method; for a response, the one it answers."""
        return self["CSeq"].split()[1] if self.status else self.start.split()[0]

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.start.split()[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __getitem__(self, name: str) -> str:
        found = self.all(name)
        assert found, f"no {name} in:\n{self}"
        return found[0]

    def uri_of(self, name: str) -> str:
        """The URI in From, To or Contact, without its angle brackets."""
        value = self[name]
        bracketed = re.search(r"<([^>]*)>", value)
        return bracketed[1] if bracketed else value.split(";")[0].strip()

    def __str__(self) -> str:
        head = "\n".join([self.start, *(f"{name}: {value}" for name, value in self.headers)])
        return f"{head}\n\n{self.body}"

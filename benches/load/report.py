"""Tables of medians with their spread, and the raw results as JSON beside them."""

import json
import statistics
import time
from dataclasses import asdict, is_dataclass
from pathlib import Path


def spread(values: list[float], digits: int = 2) -> str:
    """Median [least-most]."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]"


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Of the medians, ours to theirs."""
    if not ours or not theirs or not statistics.median(theirs):
        return "-"
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


class Report:
    """What a measurement prints and keeps."""

    def __init__(self, subject: str, folder: Path):
        self.subject, self._folder = subject, folder
        self._raw: list[dict] = []
        self._rows: list[tuple[str, ...]] = []

    def keep(self, side: str, what: str, value):
        """A raw result."""
        value = asdict(value) if is_dataclass(value) else value
        self._raw.append({"side": side, "what": what, "value": value})

    def row(self, *cells):
        self._rows.append(tuple(map(str, cells)))

    def compare(self, what: str, values: dict[str, list[float]], ours: str, theirs: str, digits: int = 2):
        """A row for one figure of both sides."""
        us, them = values.get(ours, []), values.get(theirs, [])
        self.row(what, spread(us, digits), spread(them, digits), ratio(us, them))

    def finish(self):
        widths = [max(map(len, column)) for column in zip(*self._rows)]
        print()
        for place, row in enumerate(self._rows):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
            if place == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.subject}-{time.strftime('%Y%m%d-%H%M%S')}.json"
        path.write_text(json.dumps({"subject": self.subject, "rows": self._rows, "raw": self._raw}, indent=1))
        print(f"\nraw results: {path}")

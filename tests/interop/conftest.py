"""What every test gets: a place for its files, the tones, and, where it asks, a gateway of its own."""

import pytest

import tone
from gateway import Gateway


class Tones:
    """Two tones that no harmonic of the other can be taken for."""

    LOW, HIGH = 440, 1000

    def __init__(self, folder):
        self.low = tone.write_tone(folder / "low.wav", self.LOW)
        self.high = tone.write_tone(folder / "high.wav", self.HIGH)


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    return Tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def gateway(tmp_path):
    """A gateway of the test's own; leaving it checks that nothing was left behind and that it ended cleanly."""
    with Gateway(tmp_path) as running:
        yield running

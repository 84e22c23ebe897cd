"""What every test gets: a place for its files, the tones, and, where it asks, a gateway of its own."""

import pytest

import tone
from bench import Bench
from gateway import Gateway


# Whether a test's own part failed: then what it left behind is no news.
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


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
def bench(tmp_path, tones, request):
    """A gateway of the test's own with its neighbours; at the end it must hold nothing and stop cleanly.

    `@pytest.mark.gateway(no_answer_s=2)` changes its settings.
    """
    marker = request.node.get_closest_marker("gateway")
    with Gateway(tmp_path, **(marker.kwargs if marker else {})) as gateway:
        bench = Bench(tmp_path, gateway, tones)
        try:
            yield bench
            if not request.node.stash.get(FAILED, False):
                gateway.has_settled()
        finally:
            bench.close()

"""What every peer process needs: free ports, a bounded wait, and an end by its own process id."""

import itertools
import os
import signal
import socket
import subprocess
import time

# Each worker of a parallel run has a range of its own, all below the kernel's ephemeral ports, so that no
# outgoing connection takes a port between its choice and its use.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SIZE = 3000
_FIRST = 12000 + _WORKER * _SIZE
_next = itertools.cycle(range(_FIRST, _FIRST + _SIZE, 2))



def patience(seconds: float) -> float:
    """How long to wait for what an idle machine does within that time: others may want the same cores."""
    return 4 * seconds



def free_port(address: str = "127.0.0.1", span: int = 1) -> int:
    """An even port on `address`, it and the `span - 1` above it free for UDP and TCP at this moment."""
    for candidate in itertools.islice(_next, _SIZE):
        fits = candidate + span <= _FIRST + _SIZE
        if fits and all(_is_free(address, candidate + offset) for offset in range(span)):
            for _ in range(1, span, 2):
                next(_next)
            return candidate
    raise RuntimeError("no free port left")


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def wait_until(question, what: str, timeout: float = 5.0, interval: float = 0.05):
    """Asks until the answer is truthy and returns it; fails naming what was waited for."""
    deadline = time.monotonic() + patience(timeout)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience(timeout):g} s in vain for {what}")
        time.sleep(interval)


def stop(process: subprocess.Popen, gently: int = signal.SIGTERM, patience: float = 3.0) -> int:
    """Ends one process by its own id and returns its exit status."""
    if process.poll() is None:
        process.send_signal(gently)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(2)
    return process.returncode

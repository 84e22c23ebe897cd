"""Pure tones: making them, and recognising one in a recording.

A tone that arrives at the far end proves that media flowed, was decrypted with the right keys and was
not mixed up with the other direction, which packet counters alone would not show.
"""

import math
import struct
import wave
from pathlib import Path

from peers.process import wait_until

RATE = 8000
# A block of 50 ms resolves frequencies 20 Hz apart, and every tone used here is a multiple of 20 Hz.
BLOCK = RATE // 20


def write_tone(path: Path, frequency: int, seconds: float = 20.0) -> Path:
    """Writes a mono 16-bit WAV at half amplitude; long enough not to end within a test."""
    samples = (int(16000 * math.sin(2 * math.pi * frequency * n / RATE)) for n in range(int(RATE * seconds)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def read_samples(path: Path) -> tuple[list[int], int]:
    """The first channel's samples and the rate, also of a file whose writer was stopped before it set the lengths."""
    data = Path(path).read_bytes()
    fmt = data.find(b"fmt ")
    body = data.find(b"data")
    if fmt < 0 or body < 0:
        return [], RATE
    channels, rate = struct.unpack_from("<HI", data, fmt + 10)
    pcm = data[body + 8 :]
    pcm = pcm[: len(pcm) // 2 * 2]
    return [sample for (sample,) in struct.iter_unpack("<h", pcm)][:: max(1, channels)], rate or RATE


def share(block: list[int], frequency: int, rate: int) -> float:
    """Goertzel: the share of the block's energy that lies at `frequency`, 0 to 1."""
    energy = sum(sample * sample for sample in block)
    if not block or energy < len(block) * 100 * 100:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    last = before = 0.0
    for sample in block:
        last, before = sample + coefficient * last - before, last
    power = last * last + before * before - coefficient * last * before
    return min(1.0, 2 * power / (len(block) * energy))


def heard_seconds(path: Path, frequency: int) -> float:
    """For how many seconds of the recording the tone is clearly there."""
    samples, rate = read_samples(path) if Path(path).exists() else ([], RATE)
    size = rate // 20
    blocks = (samples[at : at + size] for at in range(0, len(samples) - size + 1, size))
    return sum(1 for block in blocks if share(block, frequency, rate) > 0.8) / 20


def until_heard(path: Path, frequency: int):
    """Waits until a recording that is still being written holds more than a second of the tone."""
    wait_until(lambda: heard_seconds(path, frequency) > 1, f"{frequency} Hz in {path.name}", 10, 0.2)

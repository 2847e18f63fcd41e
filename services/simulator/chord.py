from typing import Any, Final

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_RATE: Final = 48_000
FADE_SECONDS: Final = 0.25
# Semitones above the root.
CHORDS: Final = ((0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7, 12), (0, 4, 9, 14))


def chord(seed: int, *, duration_seconds: int) -> Samples:
    """A slowly swelling chord chosen by the seed: mono samples in -1 … 1, exactly that long."""
    time = np.arange(duration_seconds * SAMPLE_RATE, dtype=np.float32) / np.float32(SAMPLE_RATE)
    root_hertz = 110 * 2 ** (seed % 12 / 12)
    sound = np.zeros_like(time)
    for voice, semitones in enumerate(CHORDS[seed // 12 % len(CHORDS)]):
        tone = np.sin(time * np.float32(2 * np.pi * root_hertz * 2 ** (semitones / 12)))
        sound += tone * (0.1 + 0.04 * np.sin(time * np.float32(0.9 + 0.37 * voice) + voice))
    edge = np.minimum(time, time[::-1]) / np.float32(FADE_SECONDS)
    return np.asarray(sound * np.minimum(edge, 1), np.float32)

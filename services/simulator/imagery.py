import colorsys
import hashlib
import math
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Picture = np.ndarray[Any, np.dtype[np.uint8]]

# The scene is drawn small and scaled up: it is soft by nature, and a few more pixels take several times longer.
SHRINK_MIN: Final = 4
SHORT_SIDE_MAX_PIXELS: Final = 180
RIDGE_COUNT: Final = 4
LIGHT_COUNT: Final = 14

# Hue, saturation and brightness of zenith, horizon and foreground.
PALETTES: Final = (
    ((0.62, 0.55, 0.55), (0.07, 0.55, 1.00), (0.72, 0.50, 0.14)),  # dawn
    ((0.72, 0.65, 0.30), (0.95, 0.50, 0.95), (0.75, 0.60, 0.10)),  # dusk
    ((0.58, 0.70, 0.75), (0.53, 0.20, 1.00), (0.40, 0.60, 0.20)),  # noon
    ((0.98, 0.70, 0.25), (0.06, 0.75, 1.00), (0.00, 0.60, 0.10)),  # ember
    ((0.66, 0.75, 0.18), (0.45, 0.55, 0.75), (0.60, 0.60, 0.08)),  # aurora
    ((0.52, 0.60, 0.50), (0.15, 0.35, 1.00), (0.47, 0.70, 0.14)),  # spring
)


class Scene:
    """A drifting landscape under a low sun, wholly decided by prompt, seed and shape.

    Times are in seconds from the start of the clip.
    """

    def __init__(self, prompt: str, seed: int, *, width: int, height: int) -> None:
        chance = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()))
        self._aspect = width / height
        shrink = max(SHRINK_MIN, math.ceil(min(width, height) / SHORT_SIDE_MAX_PIXELS))
        self._y: Array = np.linspace(0, 1, height // shrink, dtype=np.float32)
        self._x: Array = np.linspace(0, self._aspect, width // shrink, dtype=np.float32)
        palette, turn = PALETTES[chance.integers(len(PALETTES))], chance.uniform(-0.05, 0.05)
        self._zenith, self._horizon, self._ground = (_colour(hue + turn, *rest) for hue, *rest in palette)
        self._sun = 0.75 + 0.25 * self._horizon
        self._sun_path = chance.uniform((0.2, 0.22, -0.015), (0.8, 0.46, 0.015)).tolist()
        self._waves = _spread(chance, (1.0, 1.0, 0.3, 0.0), (4.0, 4.0, 0.9, 2 * math.pi), count=3)
        self._ridges = _spread(chance, (2.0, 5.0, 11.0, 0.0), (4.0, 8.0, 17.0, 9.0), count=RIDGE_COUNT)
        self._lights = _spread(
            chance, (0.0, 0.0, 0.02, 0.008, 0.0), (1.0, 1.0, 0.09, 0.025, 7.0), count=LIGHT_COUNT
        )

    def at(self, time_seconds: float) -> Picture:
        """The picture at that time, rows by columns by RGB."""
        # Colour is the first axis while painting: numpy is many times slower along an axis of three.
        picture = self._sky(time_seconds)
        for depth in range(RIDGE_COUNT):
            self._paint_ridge(picture, depth, time_seconds)
        picture += self._sun * self._floating_lights(time_seconds)
        np.clip(picture * np.float32(255), 0, 255, out=picture)
        return np.ascontiguousarray(picture.astype(np.uint8).transpose(1, 2, 0))

    def _sky(self, time_seconds: float) -> Array:
        mix = np.repeat(self._y[:, None] * np.float32(1.5), self._x.size, axis=1)
        for across, down, speed, phase in self._waves:
            # sin(a + b), opened up so that only rows and columns need a sine
            a, b = across * self._x, down * self._y + np.float32(speed * time_seconds + phase)
            mix += np.float32(0.07) * (np.outer(np.cos(b), np.sin(a)) + np.outer(np.sin(b), np.cos(a)))
        np.clip(mix, 0, 1, out=mix)
        sky: Array = self._zenith + mix * (self._horizon - self._zenith)
        start, down, drift = self._sun_path
        dx2 = np.square(self._x - np.float32(start * self._aspect + drift * time_seconds))
        dy2 = np.square(self._y - np.float32(down + 0.01 * time_seconds))
        light = np.outer(np.exp(-9 * dy2), np.exp(-9 * dx2)) * np.float32(0.5)
        light += np.clip((np.float32(0.0052) - dx2 - dy2[:, None]) * 500, 0, 1)
        sky += np.clip(light, 0, 1, out=light) * (self._sun - sky)
        return sky

    def _paint_ridge(self, picture: Array, depth: int, time_seconds: float) -> None:
        nearness = (depth + 1) / RIDGE_COUNT
        low, middle, high, phase = self._ridges[depth]
        along = self._x + np.float32(phase + time_seconds * 0.16 * nearness**2)
        crest = np.float32(0.47 + 0.13 * depth) + np.sin(along * low) * np.float32(0.055)
        crest += np.sin(along * middle + phase) * np.float32(0.025) + np.sin(along * high) * np.float32(0.008)
        top = int(crest.min() * self._y.size)
        below = self._y[top:, None] - crest
        cover = np.clip(below * np.float32(self._y.size * 0.7), 0, 1)
        mist = np.clip(np.float32(0.22) - below * np.float32(0.8), 0, 1)
        colour = self._horizon + (self._ground - self._horizon) * np.float32(nearness**0.7)
        covered = picture[:, top:]
        covered += cover * (colour + mist * self._horizon - covered)

    def _floating_lights(self, time_seconds: float) -> Array:
        start_x, start_y, rise, size, phase = self._lights.T
        x = (start_x + np.float32(0.03) * np.sin(phase + np.float32(time_seconds * 0.8))) * self._aspect
        y = (start_y - rise * np.float32(time_seconds)) % np.float32(1.2) - np.float32(0.1)
        twinkle = np.float32(0.35) + np.float32(0.25) * np.sin(phase + np.float32(time_seconds * 2))
        columns = np.exp(-np.square((self._x - x[:, None]) / size[:, None]))
        rows = np.exp(-np.square((self._y[:, None] - y) / size)) * twinkle
        return np.asarray(rows @ columns, np.float32)


def _colour(hue: float, saturation: float, brightness: float) -> Array:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, brightness), np.float32)[:, None, None]


def _spread(
    chance: np.random.Generator, low: tuple[float, ...], high: tuple[float, ...], *, count: int
) -> Array:
    return chance.uniform(low, high, (count, len(low))).astype(np.float32)

"""Images of walls that tile."""

from __future__ import annotations

import cv2
import numpy as np

from rsdfm_ros.sim.ground import Image, tint

FACADE_PX = 256
FACADE_M = 12.0
"""Side of the square of wall that a facade image covers."""


def paint_facade(rng: np.random.Generator) -> Image:
    """A wall of FACADE_M x FACADE_M with rows of windows, (FACADE_PX, FACADE_PX, 3) RGB; it tiles."""
    walls = (
        (176, 160, 138),
        (150, 92, 72),
        (196, 192, 182),
        (128, 130, 136),
        (188, 168, 120),
        (110, 98, 90),
        (205, 200, 205),
    )
    wall = np.array(tint(rng, walls[int(rng.integers(len(walls)))], 0.12, 5))
    image = np.empty((FACADE_PX, FACADE_PX, 3), np.uint8)
    image[:] = wall.astype(np.uint8)
    columns, floors = int(rng.integers(3, 6)), 4
    w, h = FACADE_PX / columns, FACADE_PX / floors
    fw, fh = float(rng.uniform(0.35, 0.75)), float(rng.uniform(0.4, 0.65))
    for i in range(columns):
        for j in range(floors):
            glass = np.array([52, 62, 76]) * rng.uniform(0.6, 1.5) + (60 if rng.random() < 0.08 else 0)
            x0, y0 = (i + 0.5 - 0.5 * fw) * w, (j + 0.5 - 0.5 * fh) * h
            outer = (int(x0) - 3, int(y0) - 3), (int(x0 + fw * w) + 3, int(y0 + fh * h) + 3)
            cv2.rectangle(image, *outer, tuple(float(v) for v in np.clip(wall * 1.15, 0, 255)), -1)
            cv2.rectangle(
                image,
                (int(x0), int(y0)),
                (int(x0 + fw * w), int(y0 + fh * h)),
                tuple(float(v) for v in glass),
                -1,
            )
        if rng.random() < 0.5:
            cv2.line(image, (int(i * w), 0), (int(i * w), FACADE_PX), tuple(float(v) for v in wall * 0.9), 1)
    noise = rng.normal(1.0, 0.03, (FACADE_PX, FACADE_PX, 1))
    return np.clip(image * noise, 0, 255).astype(np.uint8)


def paint_old_wall(rng: np.random.Generator) -> Image:
    """Plaster in warm tones with small upright windows and shutters, on four floors."""
    tones = (
        (214, 190, 148),
        (206, 170, 128),
        (196, 140, 110),
        (220, 208, 184),
        (190, 176, 150),
        (176, 120, 92),
    )
    wall = np.array(tint(rng, tones[int(rng.integers(len(tones)))], 0.1, 4))
    image = np.empty((FACADE_PX, FACADE_PX, 3), np.uint8)
    image[:] = wall.astype(np.uint8)
    shutter = tint(rng, ((96, 120, 96), (120, 84, 66), (98, 108, 124))[int(rng.integers(3))], 0.1, 4)
    columns, floors = int(rng.integers(4, 7)), 4
    w, h = FACADE_PX / columns, FACADE_PX / floors
    for i in range(columns):
        for j in range(floors):
            x, y = (i + 0.5) * w, (j + 0.52) * h
            a, b = 0.18 * w, 0.3 * h
            cv2.rectangle(image, (int(x - 2 * a), int(y - b)), (int(x + 2 * a), int(y + b)), shutter, -1)
            glass = tuple(float(v) for v in np.array([58, 64, 72]) * rng.uniform(0.6, 1.4))
            cv2.rectangle(image, (int(x - a), int(y - b)), (int(x + a), int(y + b)), glass, -1)
    noise = rng.normal(1.0, 0.05, (FACADE_PX, FACADE_PX, 1))
    return np.clip(image * noise, 0, 255).astype(np.uint8)


def paint_house_wall(rng: np.random.Generator) -> Image:
    """Render, brick or boards with few wide windows, on four floors of which a house shows two."""
    tones = (
        (222, 216, 204),
        (186, 104, 80),
        (206, 196, 170),
        (226, 222, 220),
        (156, 150, 140),
        (188, 170, 140),
    )
    wall = np.array(tint(rng, tones[int(rng.integers(len(tones)))], 0.08, 4))
    image = np.empty((FACADE_PX, FACADE_PX, 3), np.uint8)
    image[:] = wall.astype(np.uint8)
    if rng.random() < 0.5:
        image[::8] = (wall * 0.88).astype(np.uint8)
    w, h = FACADE_PX / 3, FACADE_PX / 4
    for i in range(3):
        for j in range(4):
            if rng.random() < 0.2:
                continue
            x, y, a, b = (i + 0.5) * w, (j + 0.5) * h, rng.uniform(0.14, 0.3) * w, 0.24 * h
            cv2.rectangle(
                image, (int(x - a) - 3, int(y - b) - 3), (int(x + a) + 3, int(y + b) + 3), (236, 234, 230), -1
            )
            glass = tuple(float(v) for v in np.array([60, 70, 82]) * rng.uniform(0.6, 1.4))
            cv2.rectangle(image, (int(x - a), int(y - b)), (int(x + a), int(y + b)), glass, -1)
    noise = rng.normal(1.0, 0.03, (FACADE_PX, FACADE_PX, 1))
    return np.clip(image * noise, 0, 255).astype(np.uint8)


def paint_hall_wall(rng: np.random.Generator) -> Image:
    """Trapezoidal sheet metal or concrete panels with a band of windows or a coloured band, and gates."""
    tones = (
        (196, 200, 204),
        (150, 158, 166),
        (110, 130, 156),
        (206, 200, 186),
        (120, 140, 120),
        (170, 172, 170),
    )
    wall = np.array(tint(rng, tones[int(rng.integers(len(tones)))], 0.1, 4))
    image = np.empty((FACADE_PX, FACADE_PX, 3), np.uint8)
    image[:] = wall.astype(np.uint8)
    image[:, ::6] = (wall * 0.85).astype(np.uint8)
    band = tint(
        rng, ((70, 78, 88), (170, 40, 40), (40, 80, 150), (220, 180, 40))[int(rng.integers(4))], 0.1, 4
    )
    y = int(rng.uniform(0.08, 0.5) * FACADE_PX)
    cv2.rectangle(image, (0, y), (FACADE_PX, y + int(rng.uniform(12, 30))), band, -1)
    for x in (20, 150):
        if rng.random() < 0.7:  # rolling gates; the bottom of the image is the foot of the wall
            cv2.rectangle(image, (x, FACADE_PX - 96), (x + 84, FACADE_PX), (88, 92, 98), -1)
    noise = rng.normal(1.0, 0.02, (FACADE_PX, FACADE_PX, 1))
    return np.clip(image * noise, 0, 255).astype(np.uint8)

"""Images of a frame for people: the map as truth, as one UAV sees it alone, and with its peers.

Maps are drawn north up, east right. Colour-blind people can tell the colours apart too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rsdfm_ros.evaluation.report.recording import RunFrame, Surroundings
from rsdfm_ros.geometry.boxes import bev_corners
from rsdfm_ros.geometry.lattice import Window

Colour = tuple[int, int, int]
Array = NDArray[np.uint8]

PAPER: Colour = (18, 22, 28)
INK: Colour = (230, 234, 240)
MUTED: Colour = (150, 160, 174)
GROUND: Colour = (26, 31, 38)
ROAD: Colour = (44, 51, 61)
BUILDING: Colour = (66, 74, 88)
TRUE: Colour = (120, 178, 255)
FOUND: Colour = (52, 199, 160)
MISSED: Colour = (232, 72, 85)
FALSE: Colour = (250, 190, 60)
AGENTS: tuple[Colour, ...] = (
    (255, 255, 255),
    (255, 170, 210),
    (190, 160, 255),
    (150, 220, 255),
    (255, 210, 150),
    (200, 255, 170),
    (255, 150, 130),
    (170, 190, 255),
)
FOREGROUND_PERCENT = 50
HALF_EXTENT_M = 50.0
"""Half the side of the area that maps show, as far as the model answers on it."""
BOX_SCORE = 0.3


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font of all images."""
    return ImageFont.load_default(size)


@dataclass(frozen=True)
class Canvas:
    """A square map image of ±half_extent_m around the origin, `pixels` wide."""

    half_extent_m: float
    pixels: int

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel positions (..., 2) of points (..., 2 or 3) in metres."""
        scale = self.pixels / (2 * self.half_extent_m)
        x, y = points[..., 0], points[..., 1]
        return np.stack([(x + self.half_extent_m) * scale, (self.half_extent_m - y) * scale], axis=-1)

    def polygon(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """The same, as a list for drawing."""
        return [(float(u), float(v)) for u, v in self.place(points)]

    def cells(self, array: NDArray[np.generic], window: Window) -> NDArray[np.generic]:
        """The part (n, n) of an array (ni, nj) over `window` that the canvas shows, north up; 0 outside the window."""
        n = round(self.half_extent_m / window.cell_size)
        i0, j0 = max(-n, window.i0), max(-n, window.j0)
        ni = max(min(n, window.i0 + window.ni) - i0, 0)
        nj = max(min(n, window.j0 + window.nj) - j0, 0)
        area = Window(-n, -n, 2 * n, 2 * n, window.cell_size)
        shown = np.zeros((area.ni, area.nj), array.dtype)
        if ni and nj:
            common = Window(i0, j0, ni, nj, window.cell_size)
            shown[area.crop(common)] = array[window.crop(common)]
        return np.flipud(shown.T)


def base_map(canvas: Canvas, surroundings: Surroundings) -> Image.Image:
    """Ground, roads and buildings."""
    image = Image.new("RGB", (canvas.pixels, canvas.pixels), GROUND)
    draw = ImageDraw.Draw(image)
    for colour, polygons in ((ROAD, surroundings.roads), (BUILDING, surroundings.buildings)):
        for polygon in polygons:
            draw.polygon(canvas.polygon(np.array(polygon, dtype=np.float64)), fill=colour)
    return image


def paint(image: Image.Image, mask: NDArray[np.generic], colour: Colour) -> None:
    """Colour the cells of a mask (n, n), north up, on a map image."""
    stencil = Image.fromarray((np.asarray(mask) > 0).astype(np.uint8) * 255).resize(
        image.size, Image.Resampling.NEAREST
    )
    image.paste(colour, (0, 0), stencil)


def truth_map(canvas: Canvas, frame: RunFrame, surroundings: Surroundings) -> Image.Image:
    """The true places of the vehicles."""
    image = base_map(canvas, surroundings)
    paint(image, canvas.cells(frame.true_ids > 0, window_of(frame.true_ids)), TRUE)
    _draw_agents(image, canvas, frame, list(frame.poses))
    return image


def answer_map(
    canvas: Canvas, frame: RunFrame, surroundings: Surroundings, agent: str, variant: str
) -> Image.Image:
    """The answer of a UAV, cell by cell: found, missed, false alarm; boxes as outlines, predicted paths as lines."""
    image = base_map(canvas, surroundings)
    answer = frame.answers.get((agent, variant))
    if answer is None:
        _centred(ImageDraw.Draw(image), "no answer", canvas.pixels // 2, canvas.pixels // 2, 18, MUTED)
        return image
    every = [agent] if variant == "single" else list(frame.poses)
    if surroundings.K is not None:
        for name in every:
            _draw_footprint(ImageDraw.Draw(image), canvas, frame, surroundings.K, name)
    window = window_of(frame.true_ids)
    predicted = answer.percent >= FOREGROUND_PERCENT if answer.percent is not None else answer.ids
    if predicted is not None:
        true = canvas.cells(frame.true_ids > 0, window).astype(bool)
        shown = canvas.cells(predicted > 0, window).astype(bool)
        paint(image, true & ~shown, MISSED)
        paint(image, shown & ~true, FALSE)
        paint(image, shown & true, FOUND)
    draw = ImageDraw.Draw(image)
    if answer.boxes is not None:
        confident = answer.boxes.select(answer.boxes.scores >= BOX_SCORE)
        for corners in bev_corners(confident.centres, confident.sizes, confident.yaws):
            draw.polygon(canvas.polygon(corners), outline=INK)
    for track in answer.tracks:
        if np.linalg.norm(track[-1] - track[0]) > 1.0:
            draw.line(canvas.polygon(track), fill=INK, width=1)
    _draw_agents(image, canvas, frame, every)
    return image


def window_of(array: NDArray[np.generic]) -> Window:
    """The window of recorded maps: 0.5 m cells, centred on the origin."""
    ni, nj = array.shape
    return Window(-(ni // 2), -(nj // 2), ni, nj, 0.5)


def half_extent_m(frame: RunFrame) -> float:
    """Half the side of the area around the origin that maps of this frame show."""
    window = window_of(frame.true_ids)
    return min(HALF_EXTENT_M, min(window.ni, window.nj) // 2 * window.cell_size)


def footprint(
    K: NDArray[np.float64], T_map_camera: NDArray[np.float64], far_m: float = 130.0
) -> NDArray[np.float64]:
    """Outline (N, 2) in metres of the ground that a camera sees, cut `far_m` metres from the point below it."""
    width, height = 2 * K[0, 2], 2 * K[1, 2]
    steps = np.linspace(0.0, 1.0, 9)
    edge = np.concatenate(
        [
            np.stack([steps * width, np.zeros(9)], 1),
            np.stack([np.full(9, width), steps * height], 1),
            np.stack([steps[::-1] * width, np.full(9, height)], 1),
            np.stack([np.zeros(9), steps[::-1] * height], 1),
        ]
    )
    rays = np.column_stack([edge, np.ones(len(edge))]) @ np.linalg.inv(K).T @ T_map_camera[:3, :3].T
    centre = T_map_camera[:3, 3]
    reach = np.where(rays[:, 2] < -1e-6, centre[2] / np.maximum(-rays[:, 2], 1e-6), np.inf)
    flat = np.maximum(np.linalg.norm(rays[:, :2], axis=1), 1e-9)
    reach = np.minimum(reach, far_m / flat)
    return np.asarray(centre[:2] + rays[:, :2] * reach[:, None])


def labelled(image: Image.Image, text: str, size: int = 15) -> Image.Image:
    """The image with a label in its upper left corner."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = draw.textbbox((6, 4), text, font=font(size))
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill=PAPER)
    draw.text((6, 4), text, font=font(size), fill=INK)
    return image


def colour_of(frame: RunFrame, agent: str) -> Colour:
    """The colour that stands for a UAV."""
    names = sorted(frame.poses)
    return AGENTS[names.index(agent) % len(AGENTS)] if agent in names else INK


def _draw_footprint(
    draw: ImageDraw.ImageDraw, canvas: Canvas, frame: RunFrame, K: NDArray[np.float64], name: str
) -> None:
    if name in frame.poses:
        outline = canvas.polygon(footprint(K, frame.poses[name]))
        r, g, b = (round(0.45 * c + 0.55 * p) for c, p in zip(colour_of(frame, name), GROUND, strict=True))
        draw.line([*outline, outline[0]], fill=(r, g, b), width=1)


def _draw_agents(image: Image.Image, canvas: Canvas, frame: RunFrame, names: list[str]) -> None:
    """A triangle for each UAV, at the map's edge when it flies beyond it."""
    draw = ImageDraw.Draw(image)
    margin = 14.0
    for name in names:
        if name not in frame.poses:
            continue
        T = frame.poses[name]
        here = np.clip(canvas.place(T[None, :2, 3])[0], margin, canvas.pixels - margin)
        ahead = T[:2, 2] / max(float(np.linalg.norm(T[:2, 2])), 1e-9)
        forward, side = np.array([ahead[0], -ahead[1]]), np.array([ahead[1], ahead[0]])
        tip, back = 9.0 * forward, -6.0 * forward
        points = [here + p for p in (tip, back + 6.0 * side, back - 6.0 * side)]
        draw.polygon([(float(p[0]), float(p[1])) for p in points], fill=colour_of(frame, name), outline=PAPER)
        label = name.removeprefix("uav")
        draw.text(
            (float(here[0]) - 4, float(here[1]) - 24), label, font=font(13), fill=colour_of(frame, name)
        )


def _centred(draw: ImageDraw.ImageDraw, text: str, u: float, v: float, size: int, colour: Colour) -> None:
    draw.text((u, v), text, font=font(size), fill=colour, anchor="mm")

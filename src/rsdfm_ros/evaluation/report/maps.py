"""The part of report.html with cameras and maps: every UAV alone and with its peers, at some moments of a mission."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsdfm_ros.evaluation.report import images as pic
from rsdfm_ros.evaluation.report.recording import RunFrame, RunReader
from rsdfm_ros.words import counted

MAP_PIXELS = 400
COLOURS = 64
"""Colours of a stored map; it has fewer, but for the edges of letters."""


def key_frames(run: RunReader) -> list[int]:
    """Frames to show: first the one in which peers help most in the mean of all UAVs, then up to two others spread over
    the mission."""
    if not run.frames:
        return []
    gains = {line["frame"]: _gain(line) for line in run.lines}
    usable = [n for n in run.frames if n >= 2] or run.frames
    best = max(usable, key=lambda n: gains.get(n, 0.0))
    spread = sorted({usable[len(usable) // 4], usable[(3 * len(usable)) // 4]} - {best})
    return [best, *spread]


def moments(run: RunReader, on_step: Callable[[], None] = lambda: None) -> str:
    """The section; empty if no frames were recorded. on_step: called after every moment."""
    lines = {line["frame"]: line for line in run.lines}
    parts, side_m = [], 0.0
    helped = any(_gain(line) > 0.0 for line in run.lines)
    title = "The moment in which peers help most" if helped else "One moment"
    for number in key_frames(run):
        frame = run.load(number)
        side_m = 2 * pic.half_extent_m(frame)
        seconds = frame.stamp_s - run.start_s
        uavs = "".join(_uav(run, frame, agent, lines.get(number)) for agent in run.agents)
        grid = f"<div class=uavs>{uavs}</div>"
        parts.append(
            f"<h3>{title}: {seconds:.1f} s</h3>{grid}"
            if not parts
            else f"<details><summary>The same at {seconds:.1f} s</summary>{grid}</details>"
        )
        on_step()
    if not parts:
        return ""
    return (
        f"<h2>What every UAV sees</h2>{legend()}<p class=note>Maps of {side_m:.0f} × "
        f"{side_m:.0f} m, north up. Triangles: UAVs. Thin outlines: ground that the cameras in use see. "
        "White: detected boxes, and paths predicted over 2 s. IoU: share of vehicle area that map "
        "and truth have in common.</p>" + "".join(parts)
    )


def legend() -> str:
    """Legend of the colours of maps."""
    entries = (
        (pic.FOUND, "vehicle, found"),
        (pic.MISSED, "vehicle, missed (mostly hidden from every camera in use)"),
        (pic.FALSE, "false alarm"),
        (pic.TRUE, "vehicle, in the map of the truth"),
        (pic.ROAD, "road"),
        (pic.BUILDING, "building"),
    )
    items = "".join(
        f'<li><span style="background:rgb{colour}"></span>{text}</li>' for colour, text in entries
    )
    return f"<ul class=legend>{items}</ul>"


def _uav(run: RunReader, frame: RunFrame, agent: str, line: dict[str, Any] | None) -> str:
    facts = (line or {}).get("agents", {}).get(agent, {})
    height = f" · {frame.poses[agent][2, 3]:.0f} m high" if agent in frame.poses else ""
    peers = counted(len(facts["peers"]), "peer") if "peers" in facts else "its peers"
    camera = ""
    if agent in frame.images:
        camera = f'<img class=camera alt="camera of {html.escape(agent)}" src="{_jpeg(frame.images[agent])}">'
    maps = "".join(
        _map(run, frame, agent, variant, title, facts.get(f"iou_{variant}"))
        for variant, title in (("single", "alone"), ("collaborative", f"with {peers}"))
    )
    return (
        f"<section class=uav><h4>{html.escape(agent)}<small>{height}</small></h4>{camera}"
        f"<div class=maps>{maps}</div></section>"
    )


def _map(run: RunReader, frame: RunFrame, agent: str, variant: str, title: str, iou: float | None) -> str:
    image = pic.answer_map(
        pic.Canvas(pic.half_extent_m(frame), MAP_PIXELS), frame, run.surroundings, agent, variant
    )
    figure = "" if iou is None else f"<b>IoU {iou:.2f}</b>"
    return (
        f"<figure><figcaption><span>{html.escape(title)}</span>{figure}</figcaption>"
        f'<img alt="map of {html.escape(agent)} {html.escape(title)}" src="{_png(image)}"></figure>'
    )


def _gain(line: dict[str, Any]) -> float:
    pairs = [(f.get("iou_collaborative"), f.get("iou_single")) for f in line["agents"].values()]
    gains = [b - a for b, a in pairs if a is not None and b is not None]
    return float(np.mean(gains)) if gains else 0.0


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

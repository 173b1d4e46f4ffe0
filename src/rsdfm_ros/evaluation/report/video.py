"""bev.mp4: legend and cameras above, below them the map as truth, as one UAV sees it alone, and with its peers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report import images as pic
from rsdfm_ros.evaluation.report.recording import RunFrame, RunReader
from rsdfm_ros.outputs import replacing
from rsdfm_ros.words import counted

WIDTH, HEIGHT = 1280, 784
FRAMES_PER_SECOND = 4
"""Twice as fast as it happened (2 Hz)."""
ENCODER_S = 60.0
"""Time that the encoder may take to end after the last image, s."""

_GAP, _MAP = 20, 400
_LEGEND, _CAMERAS, _MAPS = 46, 94, 308
"""Rows at which these begin; below the maps there is room for the controls of players."""


def compose(run: RunReader, frame: RunFrame, agent: str, line: dict[str, Any] | None) -> pic.Array:
    """One image of the video (HEIGHT, WIDTH, 3) RGB; `line` holds the frame's figures."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), pic.PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 12), "Several UAVs, one bird's-eye view", font=pic.font(22), fill=pic.INK)
    draw.text(
        (WIDTH - _GAP, 24),
        f"mission time {frame.stamp_s - run.start_s:4.1f} s",
        font=pic.font(18),
        fill=pic.MUTED,
        anchor="rm",
    )
    _cameras(sheet, frame, agent)
    facts = (line or {}).get("agents", {}).get(agent, {})
    half_extent_m = pic.half_extent_m(frame)
    canvas = pic.Canvas(half_extent_m, _MAP)
    peers = len(facts.get("peers", []))
    columns = (
        ("Truth", "", pic.truth_map(canvas, frame, run.surroundings)),
        (
            f"{agent} alone",
            _iou(facts.get("iou_single")),
            pic.answer_map(canvas, frame, run.surroundings, agent, "single"),
        ),
        (
            f"{agent} with {counted(peers, 'peer')}" if facts else f"{agent} with its peers",
            _iou(facts.get("iou_collaborative")),
            pic.answer_map(canvas, frame, run.surroundings, agent, "collaborative"),
        ),
    )
    for n, (title, figure, image) in enumerate(columns):
        left = _GAP + n * (_MAP + _GAP)
        draw.text((left, _MAPS - 26), title, font=pic.font(18), fill=pic.INK)
        draw.text((left + _MAP, _MAPS - 14), figure, font=pic.font(18), fill=pic.INK, anchor="rm")
        sheet.paste(image, (left, _MAPS))
    _legend(draw, _LEGEND, half_extent_m)
    return np.asarray(sheet, dtype=np.uint8)


def write_video(run: RunReader, path: Path, agent: str, on_frame: Callable[[], None] = lambda: None) -> str:
    """Write the video of a run; returns the codec. RsdfmError if nothing was recorded or no encoder works."""
    if not run.frames:
        raise RsdfmError(
            f"{run.folder} has no recorded frames: set evaluator.record_frames in the fleet description"
        )
    lines = {line["frame"]: line for line in run.lines}

    def sheets() -> Iterable[pic.Array]:
        for n in run.frames:
            yield compose(run, run.load(n), agent, lines.get(n))
            on_frame()

    encoder = find_encoder()
    with replacing(path) as beside:
        if encoder is not None:
            _pipe(encoder, sheets(), beside)
            return "H.264"
        _opencv(sheets(), beside)
        return "VP9"


def find_encoder() -> str | None:
    """An ffmpeg that can make H.264, which every browser plays: imageio-ffmpeg's, or the system's; None
    without one.
    """
    candidates = []
    try:
        import imageio_ffmpeg  # type: ignore[import-untyped]

        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        pass
    candidates.append(shutil.which("ffmpeg") or "")
    for candidate in filter(None, candidates):
        try:
            listed = subprocess.run(
                [candidate, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if " libx264 " in listed.stdout:
            return str(candidate)
    return None


def _pipe(encoder: str, sheets: Iterable[pic.Array], path: Path) -> None:
    raw = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{WIDTH}x{HEIGHT}",
        "-r",
        str(FRAMES_PER_SECOND),
        "-i",
        "-",
    ]
    made = [
        "-c:v",
        "libx264",
        "-preset",
        "medium",
        "-crf",
        "23",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    command = [encoder, "-hide_banner", "-loglevel", "error", "-y", *raw, *made, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    try:
        for sheet in sheets:
            process.stdin.write(sheet.tobytes())
    except BrokenPipeError:
        pass
    finally:
        try:
            _, error = process.communicate(timeout=ENCODER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, error = process.communicate()
            error += f" (it did not end within {ENCODER_S:.0f} s)".encode()
    if process.returncode != 0:
        raise RsdfmError(f"{encoder} could not write {path}: {error.decode(errors='replace').strip()}")


def _opencv(sheets: Iterable[pic.Array], path: Path) -> None:
    code = cv2.VideoWriter.fourcc(*"VP90")
    writer = cv2.VideoWriter(str(path), code, FRAMES_PER_SECOND, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise RsdfmError("no video encoder works here: install imageio-ffmpeg (pip) or ffmpeg")
    try:
        for sheet in sheets:
            writer.write(np.ascontiguousarray(sheet[..., ::-1]))
    finally:
        writer.release()


def _cameras(sheet: Image.Image, frame: RunFrame, agent: str) -> None:
    names = sorted(frame.images)[:4]
    width = (WIDTH - _GAP * (max(len(names), 4) + 1)) // max(len(names), 4)
    height = round(width * 9 / 16)
    for n, name in enumerate(names):
        view = Image.fromarray(frame.images[name]).resize((width, height), Image.Resampling.LANCZOS)
        altitude = f" · {frame.poses[name][2, 3]:.0f} m high" if name in frame.poses else ""
        left = _GAP + n * (width + _GAP)
        sheet.paste(pic.labelled(view, f"{name}{altitude}", 14), (left, _CAMERAS))
        border = (left - 2, _CAMERAS - 2, left + width + 1, _CAMERAS + height + 1)
        ImageDraw.Draw(sheet).rectangle(
            border, outline=pic.colour_of(frame, name), width=3 if name == agent else 1
        )


def _legend(draw: ImageDraw.ImageDraw, top: int, half_extent_m: float) -> None:
    entries = (
        (pic.TRUE, "vehicle"),
        (pic.FOUND, "found"),
        (pic.MISSED, "missed"),
        (pic.FALSE, "false alarm"),
        (pic.ROAD, "road"),
        (pic.BUILDING, "building"),
    )
    left = float(_GAP)
    for colour, text in entries:
        draw.rectangle((left, top + 4, left + 14, top + 18), fill=colour)
        draw.text((left + 20, top + 1), text, font=pic.font(16), fill=pic.INK)
        left += 20 + draw.textlength(text, font=pic.font(16)) + 22
    size = f"{2 * half_extent_m:.0f}"
    about = (
        f"maps: {size} by {size} m, north up · triangles: UAVs · thin outlines: what they see",
        "white boxes: detections, white lines: predicted path (2 s) · IoU: overlap with the truth, 1 is perfect",
    )
    for n, text in enumerate(about):
        draw.text((WIDTH - _GAP, top + 2 + 18 * n), text, font=pic.font(13), fill=pic.MUTED, anchor="rm")


def _iou(value: float | None) -> str:
    return "" if value is None else f"IoU {value:.2f}"

"""The page of a finished run with its data inside: what the report begins with."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdfm_ros.evaluation.report import make
from rsdfm_ros.evaluation.report.page import Section
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.timing import in_lockstep
from rsdfm_ros.view.sources import show_run
from rsdfm_ros.view.web.instants import Instant, Instants
from rsdfm_ros.view.web.page import head, player
from rsdfm_ros.view.web.record import MissionRecord

INSIDE_BYTES = 12_000_000
"""Data inside a page: longer missions keep every other instant, or fewer."""
EMBEDDED_WIDTH = 320
EMBEDDED_QUALITY = 70


def make_report(run: RunReader, out: Path, *, agent: str | None = None, video: bool = True) -> list[Path]:
    """As evaluation.report.make.make_report, with the mission to look through."""
    return make.make_report(run, out, agent=agent, video=video, mission=mission_section(run))


def mission_section(run: RunReader) -> Section | None:
    """The interactive part of a report; None without recorded frames."""
    if not run.frames:
        return None
    return Section(head(), "<h2>The mission, to look through</h2>" + player(mission_data(run)))


def mission_data(run: RunReader, limit: int = INSIDE_BYTES) -> str:
    """The mission as JSON: about, rows of the index, and instants with their images (static/source.js reads it)."""
    record = MissionRecord(
        "Mission", lockstep=in_lockstep(run.result), instants=Instants(max_bytes=10 * INSIDE_BYTES)
    )
    show_run(run.folder, record, lambda done, total: None)
    instants = record.instants.all()
    parts = [_entry(instant, record.instants.text(instant)) for instant in instants]
    step = max(1, -(-sum(map(len, parts)) // limit))
    kept, rows = parts[::step], [instant.row() for instant in instants[::step]]
    about: dict[str, Any] = {"about": record.about(), "rows": rows}
    return f'{json.dumps(about, separators=(",", ":"))[:-1]},"instants":[{",".join(kept)}]}}'


def _entry(instant: Instant, content: str) -> str:
    images = [
        [agent, camera, base64.b64encode(_smaller(data)).decode()]
        for (agent, camera), data in instant.images.items()
    ]
    return f'{{"images":{json.dumps(images, separators=(",", ":"))},"content":{content}}}'


def _smaller(data: bytes) -> bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return b""
    scale = min(1.0, EMBEDDED_WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, EMBEDDED_QUALITY])[1].tobytes()

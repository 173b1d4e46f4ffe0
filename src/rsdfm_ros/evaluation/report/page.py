"""report.html: one self-contained page that explains a recorded run."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rsdfm_ros.evaluation.report import plots
from rsdfm_ros.evaluation.report.about import how_it_was_measured, in_short, next_steps
from rsdfm_ros.evaluation.report.maps import legend, moments
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.style import STYLE
from rsdfm_ros.evaluation.report.timing import LOCKSTEP, PROCESSING, in_lockstep, shared_by
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.words import counted

EMBED_VIDEO_BYTES = 12_000_000
"""A larger video is linked instead of embedded."""

PLACES: Mapping[str, str] = MappingProxyType(
    {
        "simulation": "over a simulated city block ",
        "gazebo": "over a city block in Gazebo ",
        "replay": "as recorded in a bag ",
    }
)
"""Kind of world → where the UAVs flew."""

METRICS: tuple[tuple[str, str, str, int, bool], ...] = (
    ("iou_long", "IoU, ±50 m", "share of vehicle area that prediction and truth have in common", 3, True),
    ("iou_short", "IoU, ±25 m", "the same in the inner 50 × 50 m", 3, True),
    (
        "iou_visible_long",
        "IoU, visible",
        "the same, counting only vehicles that a UAV in use can see",
        3,
        True,
    ),
    (
        "pq_long",
        "PQ",
        "panoptic quality: vehicles found one by one, and how well their outlines fit",
        3,
        True,
    ),
    ("vpq_long", "VPQ", "the same for the present and the predicted 2 s, with identities kept", 3, True),
    ("map", "mAP", "3D detection per class, centre within 0.5 to 4 m", 3, True),
    ("ap", "AP, 2 m", "3D detection regardless of class, centre within 2 m", 3, True),
    ("ade", "ADE (m)", "mean distance between predicted and true path over 2 s", 2, False),
    ("fde", "FDE (m)", "distance at the end of the 2 s", 2, False),
    ("bytes_per_frame", "bytes per frame", "serialised ROS messages that one UAV sends per frame", 0, False),
    ("packets_per_frame", "packets per frame", "messages that one UAV sends per frame", 1, False),
    ("mbit_per_s", "Mbit/s", "rate of one UAV at two frames per second", 3, False),
)
"""Key, name, explanation, digits, whether more is better."""


@dataclass(frozen=True)
class Section:
    """A part of the page that others make: elements of its head, and of its body."""

    head: str
    body: str


def write_report(
    run: RunReader,
    path: Path,
    video: Path | None = None,
    on_step: Callable[[], None] = lambda: None,
    mission: Section | None = None,
) -> None:
    """Write the page. video: the file to embed · on_step: called after every moment of the maps · mission: the whole
    mission, before its video."""
    body = "\n".join(
        part
        for part in (
            _heading(run),
            _cards(run),
            in_short(run),
            mission.body if mission else "",
            _video(video, path),
            moments(run, on_step),
            _metric_table(run),
            _agent_table(run),
            _plots(run),
            how_it_was_measured(run, path),
            next_steps(run),
        )
        if part
    )
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Mission report</title><style>{STYLE}</style>{mission.head if mission else ''}</head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    write_atomically(path, page)


def _heading(run: RunReader) -> str:
    span_s = run.lines[-1]["stamp_s"] - run.lines[0]["stamp_s"] if run.lines else None
    time = "" if span_s is None else f"for {span_s:.0f} s "
    place = PLACES.get(run.result.get("protocol", {}).get("world"), "")
    single, together = run.method("single").get("iou_long"), run.method("rsdfm").get("iou_long")
    size = run.method("rsdfm").get("bytes_per_frame")
    verdict = ""
    if single is not None and together is not None:
        sent = f", with {size / 1000:.1f} kB sent per UAV and frame" if size is not None else ""
        gain = f"by {100 * single:.0f} % alone and by {100 * together:.0f} % together"
        verdict = f" <b>Vehicle maps overlap the truth {gain}{sent}.</b>"
    return (
        "<h1>Mission report</h1>"
        f"<p class=lead>{counted(len(run.agents), 'UAV')} flew {place}{time}"
        f"({counted(len(run.lines), 'frame')} answered by every UAV). Each turned its camera image into a bird's-eye "
        "view, sent a compressed form of it to the others in ROS messages, and fused what it received. This page "
        "compares what a UAV perceives "
        f"<b>alone</b> with what it perceives <b>together</b> with its peers, against the known truth.{verdict}</p>"
    )


def _cards(run: RunReader) -> str:
    single, together = run.method("single"), run.method("rsdfm")
    cards = []
    for key, name in (
        ("iou_long", "vehicle IoU, 100 × 100 m"),
        ("ap", "detection AP at 2 m"),
        ("vpq_long", "VPQ"),
    ):
        a, b = single.get(key), together.get(key)
        if b is None:
            continue
        before = f"<span class=from>{a:.2f} →</span> " if a is not None else ""
        gain = f"<small>{b - a:+.2f} with peers</small>" if a is not None else ""
        cards.append(f"<div class=card><h3>{name}</h3><p>{before}{b:.2f}</p>{gain}</div>")
    size = together.get("bytes_per_frame")
    if size is not None:
        rate = together.get("mbit_per_s")
        note = f"<small>{rate:.2f} Mbit/s</small>" if rate is not None else ""
        cards.append(
            f"<div class=card><h3>sent per UAV and frame</h3><p>{size / 1000:.1f} kB</p>{note}</div>"
        )
    return f"<div class=cards>{''.join(cards)}</div>" if cards else ""


def _video(video: Path | None, page: Path) -> str:
    if video is None or not video.is_file():
        return ""
    data = video.read_bytes()
    if len(data) <= EMBED_VIDEO_BYTES:
        source = "data:video/mp4;base64," + base64.b64encode(data).decode()
    else:
        source = html.escape(video.name if video.parent == page.parent else str(video))
    return (
        f'<h2>The mission</h2><video controls loop muted playsinline src="{source}"></video>{legend()}'
        "<p class=note>Twice as fast as it happened. Above: the cameras. Below: the truth, one UAV alone, and the same "
        "UAV with its peers.</p>"
    )


def _metric_table(run: RunReader) -> str:
    single, together = run.method("single"), run.method("rsdfm")
    rows = []
    for key, name, about, digits, more in METRICS:
        a, b = single.get(key), together.get(key)
        if a is None and b is None:
            continue
        difference = ""
        if a is not None and b is not None:
            change = round(b - a, digits)
            kind = "same" if change == 0 else "good" if (change > 0) == more else "bad"
            difference = f"<span class={kind}>{change:+.{digits}f}</span>"
        rows.append(
            f"<tr><th>{name}</th><td>{_number(a, digits)}</td><td>{_number(b, digits)}</td><td>{difference}</td>"
            f"<td class=about>{about}</td></tr>"
        )
    return (
        "<h2>Alone and together</h2><p>Mean over all UAVs and scored frames. IoU, PQ, VPQ, AP and mAP lie between 0 "
        "and 1; higher is better. Distances: lower is better.</p><div class=scroll><table><thead><tr><th>metric</th>"
        "<th>alone</th><th>together</th><th>difference</th><th class=about>what it says</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _agent_table(run: RunReader) -> str:
    lockstep = in_lockstep(run.result)
    rows = []
    for agent in run.agents:
        facts = run.result.get("agents", {}).get(agent, {})
        seen = [line["agents"][agent] for line in run.lines if agent in line["agents"]]
        last: dict[str, Any] = seen[-1] if seen else {}
        frames = max(len(run.lines), 1)
        sent = [facts_then.get("bytes_sent_frame", 0) for facts_then in seen]
        times = ("processing",) if lockstep else ("processing", "latency")
        cells = (
            _number(facts.get("single", {}).get("iou"), 3),
            _number(facts.get("collaborative", {}).get("iou"), 3),
            _number(facts.get("collaborative", {}).get("ap"), 3),
            _number(float(np.mean(sent)) / 1000 if sent else None, 1),
            _number(last.get("bytes_received", 0) / frames / 1000, 1),
            _number(facts.get("peers_fused_min"), 0),
            *(_number(facts.get(f"{kind}_{key}_ms"), 0) for kind in times for key in ("median", "p95")),
            *(() if lockstep else (_number(last.get("rate_hz"), 1),)),
            _number(facts.get("packets_lost"), 0),
            _number(facts.get("frames_dropped"), 0),
        )
        rows.append(f"<tr><th>{html.escape(agent)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    heads = (
        "UAV",
        "IoU alone",
        "IoU together",
        "AP together",
        "kB out per frame",
        "kB in per frame",
        "fewest peers fused",
        "processing, median (ms)",
        "95 % (ms)",
        *(() if lockstep else ("latency, median (ms)", "95 % (ms)", "rate (Hz)")),
        "packets lost",
        "frames dropped",
    )
    late = (
        LOCKSTEP
        if lockstep
        else (
            "latency: real time from the arrival of an image to the last answer made of it, waiting for peers "
            "included; rate: images answered per second"
        )
    )
    return (
        f"<h2>Each UAV</h2><p>kB: serialised messages; {PROCESSING}, "
        f"{shared_by(run.result)}; {late}.</p>"
        f"<div class=scroll><table><thead><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _plots(run: RunReader) -> str:
    if len(run.lines) < 2:
        return ""
    parts = (
        (
            plots.accuracy_plot(run.lines, run.agents),
            "Accuracy over time: the line is the mean of all UAVs, the band reaches from the worst to the best.",
        ),
        (
            plots.bytes_plot(run.lines, run.agents, run.result.get("protocol", {}).get("budget_bytes")),
            "What each UAV sends per frame.",
        ),
        (
            plots.time_plot(run.lines, run.agents, "processing_median_ms", "processing (ms)"),
            "What one UAV computes for one image, median over the last images.",
        ),
        (
            ""
            if in_lockstep(run.result)
            else plots.time_plot(run.lines, run.agents, "latency_median_ms", "latency (ms)"),
            "Time from an image to the last answer, median over the last images.",
        ),
    )
    figures = "".join(
        f"<figure class=plot>{svg}<figcaption>{text}</figcaption></figure>" for svg, text in parts if svg
    )
    return f"<h2>Over time</h2><div class=plots>{figures}</div>"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")

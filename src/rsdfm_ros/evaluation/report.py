"""report.html: one page, without anything to load, that lets a stranger understand a recorded run."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsdfm_ros.evaluation import plots
from rsdfm_ros.evaluation.recording import RunReader
from rsdfm_ros.evaluation.report_style import STYLE
from rsdfm_ros.evaluation.video import compose
from rsdfm_ros.outputs import write_atomically

EMBED_VIDEO_BYTES = 12_000_000
"""A larger video is linked instead of embedded."""

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


def write_report(
    run: RunReader,
    path: Path,
    agent: str,
    video: Path | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Write the page; `agent` is the UAV whose pictures are shown, `video` the file to embed."""
    pictures = []
    lines = {line["frame"]: line for line in run.lines}
    for number in key_frames(run, agent):
        frame = run.load(number)
        pictures.append((frame.stamp_s - run.start_s, _jpeg(compose(run, frame, agent, lines.get(number)))))
        on_step()
    body = "\n".join(
        part
        for part in (
            _heading(run),
            _cards(run),
            _video(video, path),
            _pictures(pictures, agent),
            _metric_table(run),
            _agent_table(run),
            _plots(run),
            _protocol(run),
        )
        if part
    )
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Mission report</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
    write_atomically(path, page)


def key_frames(run: RunReader, agent: str) -> list[int]:
    """Frames to show: the one in which peers help this UAV most, and up to two others spread over the
    mission.
    """
    if not run.frames:
        return []
    gains = {
        line["frame"]: (facts.get("iou_collaborative") or 0.0) - (facts.get("iou_single") or 0.0)
        for line in run.lines
        if (facts := line["agents"].get(agent)) and line["frame"] in run.frames
    }
    usable = [n for n in run.frames if n >= 2] or run.frames
    best = max((n for n in usable), key=lambda n: gains.get(n, 0.0))
    spread = [usable[len(usable) // 4], usable[(3 * len(usable)) // 4]]
    return sorted({best, *spread})


def _heading(run: RunReader) -> str:
    agents, frames = len(run.agents), len(run.lines)
    seconds = run.lines[-1]["stamp_s"] - run.lines[0]["stamp_s"] if run.lines else 0.0
    return (
        "<h1>Mission report</h1>"
        f"<p class=lead>{agents} UAVs flew over an urban block for {seconds:.0f} s ({frames} frames). Each turned its "
        "camera view into a bird's-eye view, sent a compressed form of it to the others by radio messages, and fused "
        "what it received. This page compares what a UAV perceives <b>alone</b> with what it perceives "
        "<b>together</b> with its peers, against the truth that the simulator knows.</p>"
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
        f'<h2>The mission</h2><video controls loop muted playsinline src="{source}"></video>'
        "<p class=note>Twice as fast as it happened. Above: the cameras. Below: the truth, one UAV alone, and the same "
        "UAV with its peers.</p>"
    )


def _pictures(pictures: Sequence[tuple[float, bytes]], agent: str) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f'<figure><img alt="cameras and maps at {seconds:.1f} s" src="data:image/jpeg;base64,'
        f'{base64.b64encode(data).decode()}"><figcaption>{seconds:.1f} s</figcaption></figure>'
        for seconds, data in pictures
    )
    return (
        f"<h2>Moments</h2><p>Green: vehicles that {html.escape(agent)} found. Red: missed, mostly because no camera in "
        "use sees them. Yellow: false alarms.</p>" + figures
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
    rows = []
    for agent in run.agents:
        facts = run.result.get("agents", {}).get(agent, {})
        seen = [line["agents"][agent] for line in run.lines if agent in line["agents"]]
        last: dict[str, Any] = seen[-1] if seen else {}
        frames = max(len(run.lines), 1)
        sent = [facts_then.get("bytes_sent_frame", 0) for facts_then in seen]
        cells = (
            _number(last.get("rate_hz"), 1),
            _number(facts.get("latency_median_ms"), 0),
            _number(facts.get("latency_p95_ms"), 0),
            _number(float(np.mean(sent)) / 1000 if sent else None, 1),
            _number(last.get("bytes_received", 0) / frames / 1000, 1),
            _number(facts.get("peers_fused_min"), 0),
            _number(facts.get("packets_lost"), 0),
            _number(facts.get("frames_dropped"), 0),
            _number(facts.get("single", {}).get("iou"), 3),
            _number(facts.get("collaborative", {}).get("iou"), 3),
            _number(facts.get("collaborative", {}).get("ap"), 3),
        )
        rows.append(f"<tr><th>{html.escape(agent)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    heads = (
        "UAV",
        "rate (Hz)",
        "latency, median (ms)",
        "95 % (ms)",
        "kB out per frame",
        "kB in per frame",
        "fewest peers fused",
        "packets lost",
        "frames dropped",
        "IoU alone",
        "IoU together",
        "AP together",
    )
    return (
        "<h2>Each UAV</h2><p>Rate: pictures processed per second of mission time. Latency: real time from the arrival "
        "of a picture to the last answer made of it, waiting for peers included. kB: serialised messages.</p>"
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
            plots.latency_plot(run.lines, run.agents),
            "Time from a picture to the last answer, median over the last frames.",
        ),
    )
    figures = "".join(
        f"<figure class=plot>{svg}<figcaption>{text}</figcaption></figure>" for svg, text in parts
    )
    return f"<h2>Over time</h2><div class=plots>{figures}</div>"


def _protocol(run: RunReader) -> str:
    text = html.escape(json.dumps(run.result.get("protocol", {}), indent=2))
    return (
        "<h2>How it was measured</h2><p>Cells of 0.5 m; a vehicle counts whether or not a camera sees it. All figures, "
        "frame by frame, stand in <code>result.json</code> beside this page; the definitions in "
        "<code>src/rsdfm_ros/evaluation</code>.</p>"
        f"<details><summary>Protocol</summary><pre>{text}</pre></details>"
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()

"""Printed reports of `rsdfm bag info` and `rsdfm bag evaluate`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rsdfm_ros.evaluation.report.table import print_table
from rsdfm_ros.words import counted, printable

LATENCY_NOTE = (
    "recorded latency: from an image to its answer, on the machine that flew; after a mission in lockstep it tells "
    "how long the slowest UAV took, nothing about real time"
)


def print_info(info: dict[str, Any], console: Console) -> None:
    """Topics as a table, then UAVs, what is missing, and damage."""
    mega = info["files_bytes"] / 1e6
    console.print(
        f"{info['bag']}: {info['storage']}, {mega:.1f} MB, {counted(info['messages'], 'message')} in "
        f"{info['duration_s']:.1f} s",
        highlight=False,
        markup=False,
    )
    table = Table("topic", "type")
    for heading in ("messages", "Hz", "kB", "gaps", "longest s", "log - stamp s"):
        table.add_column(heading, justify="right")
    for name, topic in info["topics"].items():
        kind = topic["type"] + (f" ({topic['problem']})" if "problem" in topic else "")
        table.add_row(
            Text(printable(name)),
            Text(printable(kind)),
            str(topic["messages"]),
            _figure(topic["rate_hz"], ".1f"),
            f"{topic['bytes'] / 1e3:.0f}",
            str(topic["gaps"] or "–"),
            _figure(topic["longest_gap_s"], ".2f"),
            _figure(topic.get("log_minus_stamp_s"), ".3f"),
        )
    console.print(table)
    for name, uav in info["uavs"].items():
        cameras = ", ".join(
            f"{camera} ({'images' if has['image'] else 'no images'}, "
            f"{'intrinsics' if has['info'] else 'no intrinsics'})"
            for camera, has in uav["cameras"].items()
        )
        rest = ", ".join(what if uav[what] else f"no {what}" for what in ("pose", "features", "status"))
        console.print(f"{name}: {cameras}, {rest}", highlight=False)
    _list(console, "clocks", [info["clock"]["note"]] if info["clock"]["note"] else [])
    _list(console, "missing for an evaluation", info["missing"])
    _list(console, "types", info["type_differences"])
    _list(console, "damage", info["damage"])
    if not info["missing"] and not info["damage"]:
        console.print("nothing is missing for an evaluation, nothing is damaged")


def print_evaluation(result: dict[str, Any], console: Console) -> None:
    """Accuracy where there is truth; rates, bytes and agreement; what is missing."""
    if result["results"]:
        print_table(
            result["results"], console, title=f"{escape(result['protocol']['bag'])}, mean over all UAVs"
        )
    table = Table("", *result["agents"])
    rows = (
        ("images used", "frames", ".0f", 1.0),
        ("rate Hz", "rate_hz", ".2f", 1.0),
        ("kB per image", "bytes_per_frame", ".1f", 1e-3),
        ("Mbit/s", "mbit_per_s", ".3f", 1.0),
        ("peers fused", "peers_fused_mean", ".1f", 1.0),
        ("poses corrected", "poses_corrected", ".0f", 1.0),
    )
    for heading, key, spec, scale in rows:
        table.add_row(heading, *(_figure(a[key], spec, scale) for a in result["agents"].values()))
    for heading, key in (
        ("recorded latency ms", "latency_median_ms"),
        ("95th percentile ms", "latency_p95_ms"),
    ):
        values = [(a["recorded_status"] or {}).get(key) for a in result["agents"].values()]
        table.add_row(heading, *(_figure(v, ".0f") for v in values))
    console.print(table)
    console.print(LATENCY_NOTE, highlight=False)
    agreement = Table("agreement of two UAVs on what both see", *result["agreement"])
    for heading, key, spec in (
        ("IoU of vehicle cells", "iou", ".3f"),
        ("boxes that both have", "boxes_matched", ".3f"),
        ("distance of those m", "box_distance_m", ".2f"),
    ):
        agreement.add_row(heading, *(_figure(v[key], spec) for v in result["agreement"].values()))
    console.print(agreement)
    _list(console, "missing", result["missing"])
    left_out = [f"{i['where']}: {i['count']} × {i['reason']} ({i['first']})" for i in result["left_out"]]
    _list(console, "left out", left_out)
    _list(console, "used, but doubtful", result["doubts"])
    _list(console, "packets refused", [f"{n} × {reason}" for reason, n in result["packets_refused"].items()])
    _list(console, "types", result["type_differences"])
    _list(console, "damage", result["damage"])


def _list(console: Console, heading: str, lines: list[str]) -> None:
    if lines:
        console.print(f"{heading}:", highlight=False)
        console.print(
            "\n".join(f"  {printable(line)}" for line in lines), highlight=False, markup=False, soft_wrap=True
        )


def _figure(value: float | None, spec: str, scale: float = 1.0) -> str:
    return "–" if value is None else format(value * scale, spec)

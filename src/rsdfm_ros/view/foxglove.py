"""Layout of Foxglove (and Lichtblick) for a fleet of any size; config/foxglove/fleet.json is its output for four UAVs.

A layout file holds the settings of every panel by id (`Type!name`) and how they share the window, as a tree of halves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

#: As in view/rviz.py.
COLOURS = ("#ffffff", "#ffaad2", "#bea0ff", "#96dcff", "#ffd296", "#c8ffaa", "#ff9682", "#aabeff")


def foxglove_layout(agents: Sequence[str], frame_id: str = "map") -> str:
    """The layout as JSON: cameras above, the map in 3D with the first UAV's answer, bytes and latency plots, health."""
    panels: dict[str, Any] = {"3D!map": _three_d(agents, frame_id)}
    for agent in agents:
        panels[f"Image!{agent}_camera"] = {
            "imageMode": {
                "imageTopic": f"/{agent}/camera/image_raw",
                "calibrationTopic": f"/{agent}/camera/camera_info",
            }
        }
    first = agents[0]
    panels[f"Image!{first}_map"] = {"imageMode": {"imageTopic": f"/{first}/debug/bev_image"}}
    panels["Plot!bytes"] = _plot("Bytes sent per image", agents, "status.bytes_sent_frame")
    panels["Plot!latency"] = _plot("Latency, median, s", agents, "status.latency_median_s")
    panels["DiagnosticSummary!health"] = {
        "minLevel": 0,
        "pinnedIds": [],
        "hardwareIdFilter": "",
        "topicToRender": "/diagnostics",
    }
    side = _split([f"Image!{first}_map", "Plot!bytes", "Plot!latency", "DiagnosticSummary!health"], "column")
    cameras = _split([f"Image!{agent}_camera" for agent in agents], "row")
    main = {"direction": "row", "first": "3D!map", "second": side, "splitPercentage": 65}
    layout = {"direction": "column", "first": cameras, "second": main, "splitPercentage": 25}
    content = {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": layout,
    }
    return json.dumps(content, indent=2) + "\n"


def _three_d(agents: Sequence[str], frame_id: str) -> dict[str, Any]:
    topics: dict[str, Any] = {}
    for number, agent in enumerate(agents):
        shown = number == 0
        for name in ("occupancy", "markers", "paths"):
            topics[f"/{agent}/{name}"] = {"visible": shown}
        topics[f"/{agent}/path"] = {
            "visible": True,
            "type": "line",
            "lineWidth": 0.4,
            "gradient": [COLOURS[number % len(COLOURS)]] * 2,
        }
        topics[f"/{agent}/pose"] = {"visible": True}
        topics[f"/{agent}/camera/camera_info"] = {"visible": False}
    return {
        "cameraState": {
            "perspective": True,
            "distance": 150,
            "phi": 40,
            "thetaOffset": 0,
            "fovy": 45,
            "near": 0.5,
            "far": 5000,
            "target": [0, 0, 0],
            "targetOffset": [0, 0, 0],
            "targetOrientation": [0, 0, 0, 1],
        },
        "followMode": "follow-pose",
        "followTf": frame_id,
        "scene": {"backgroundColor": "#12161c"},
        "layers": {
            "grid": {
                "layerId": "foxglove.Grid",
                "instanceId": "grid",
                "label": "Grid, 10 m",
                "visible": True,
                "size": 160,
                "divisions": 16,
                "color": "#5a626eff",
                "frameId": frame_id,
            }
        },
        "topics": topics,
    }


def _plot(title: str, agents: Sequence[str], field: str) -> dict[str, Any]:
    topic, _, path = field.partition(".")
    lines = [
        {
            "value": f"/{agent}/{topic}.{path}",
            "label": agent,
            "color": COLOURS[number % len(COLOURS)],
            "enabled": True,
            "timestampMethod": "headerStamp",
        }
        for number, agent in enumerate(agents)
    ]
    return {
        "title": title,
        "foxglovePanelTitle": title,
        "paths": lines,
        "showLegend": True,
        "isSynced": True,
        "xAxisVal": "timestamp",
    }


def _split(panels: Sequence[str], direction: str) -> Any:
    """Panels side by side, or one above the other, each the same share."""
    if len(panels) == 1:
        return panels[0]
    rest = _split(panels[1:], direction)
    return {
        "direction": direction,
        "first": panels[0],
        "second": rest,
        "splitPercentage": round(100 / len(panels), 3),
    }

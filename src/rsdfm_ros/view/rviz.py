"""Configuration of RViz 2 for a fleet of any size; config/rviz/fleet.rviz is its output for four UAVs.

Display classes and property names are those of rviz_common and rviz_default_plugins. Every topic's QoS fits what our
nodes publish: images are asked for best effort, which fits reliable publishers too, all else reliable, and the map with
its last message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

#: Colours of the UAVs, as R; G; B, in the order of their names; more of them start again.
COLOURS = (
    "255; 255; 255",
    "255; 170; 210",
    "190; 160; 255",
    "150; 220; 255",
    "255; 210; 150",
    "200; 255; 170",
    "255; 150; 130",
    "170; 190; 255",
)
_HEADER = (
    "# RViz 2, one group per UAV. Made by `./rsdfm view --uavs {count} --rviz FILE` from view/rviz.py.\n"
)


def rviz_config(agents: Sequence[str], frame_id: str = "map") -> str:
    """The configuration as YAML. agents: namespaces of the UAVs, such as uav1; the first one's maps are shown, those of
    the others wait to be ticked."""
    displays = [_grid(), _tf()]
    for number, agent in enumerate(agents):
        displays.append(_group(agent, COLOURS[number % len(COLOURS)], first=number == 0))
    content = {
        "Panels": [
            {"Class": "rviz_common/Displays", "Name": "Displays", "Tree Height": 600},
            {"Class": "rviz_common/Selection", "Name": "Selection"},
            {"Class": "rviz_common/Views", "Name": "Views"},
            {"Class": "rviz_common/Time", "Name": "Time", "SyncMode": 0, "SyncSource": ""},
        ],
        "Visualization Manager": {
            "Class": "",
            "Enabled": True,
            "Name": "root",
            "Displays": displays,
            "Global Options": {
                "Background Color": "18; 22; 28",
                "Fixed Frame": frame_id,
                "Frame Rate": 30,
            },
            "Tools": [
                {"Class": f"rviz_default_plugins/{tool}"}
                for tool in ("Interact", "MoveCamera", "Select", "FocusCamera", "Measure")
            ],
            "Views": {"Current": _view(), "Saved": [_top_down()]},
        },
        "Window Geometry": {"Width": 1600, "Height": 1000, "X": 40, "Y": 40},
    }
    return _HEADER.format(count=len(agents)) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _display(kind: str, name: str, *, enabled: bool = True, **properties: Any) -> dict[str, Any]:
    spelled = {key.replace("_", " ").title(): value for key, value in properties.items()}
    return {"Class": kind, "Name": name, "Enabled": enabled, "Value": enabled, **spelled}


def _topic(name: str, *, reliable: bool = True, depth: int = 5, latched: bool = False) -> dict[str, Any]:
    return {
        "Value": name,
        "Depth": depth,
        "History Policy": "Keep Last",
        "Reliability Policy": "Reliable" if reliable else "Best Effort",
        "Durability Policy": "Transient Local" if latched else "Volatile",
    }


def _grid() -> dict[str, Any]:
    return _display(
        "rviz_default_plugins/Grid",
        "Grid, 10 m",
        plane="XY",
        plane_cell_count=16,
        cell_size=10,
        reference_frame="<Fixed Frame>",
        color="90; 98; 110",
        alpha=0.5,
    )


def _tf() -> dict[str, Any]:
    return _display(
        "rviz_default_plugins/TF",
        "Frames",
        show_names=True,
        show_axes=True,
        show_arrows=False,
        marker_scale=20,
        frame_timeout=3600,
    )


def _group(agent: str, colour: str, *, first: bool) -> dict[str, Any]:
    image, plugin = "rviz_default_plugins/Image", "rviz_default_plugins/"
    return {
        "Class": "rviz_common/Group",
        "Name": agent,
        "Enabled": True,
        "Value": True,
        "Displays": [
            _display(
                image, f"{agent} camera", topic=_topic(f"/{agent}/camera/image_raw", reliable=False, depth=1)
            ),
            _display(
                image,
                f"{agent} map in colours",
                enabled=first,
                topic=_topic(f"/{agent}/debug/bev_image", reliable=False, depth=1),
            ),
            _display(
                image,
                f"{agent} instances",
                enabled=False,
                topic=_topic(f"/{agent}/instance_mask", reliable=False, depth=1),
                normalize_range=True,
            ),
            _display(
                image,
                f"{agent} who contributes",
                enabled=False,
                topic=_topic(f"/{agent}/bev/contributors", reliable=False, depth=1),
            ),
            _display(
                f"{plugin}Map",
                f"{agent} occupancy",
                enabled=first,
                topic=_topic(f"/{agent}/occupancy", depth=1, latched=True),
                update_topic=_topic(f"/{agent}/occupancy_updates"),
                alpha=0.5,
                color_scheme="costmap",
                draw_behind=True,
            ),
            _display(
                f"{plugin}MarkerArray",
                f"{agent} boxes",
                enabled=first,
                topic=_topic(f"/{agent}/markers"),
                namespaces={},
            ),
            _display(
                f"{plugin}MarkerArray",
                f"{agent} trajectories",
                enabled=first,
                topic=_topic(f"/{agent}/paths"),
                namespaces={},
            ),
            _display(
                f"{plugin}Path",
                f"{agent} track",
                topic=_topic(f"/{agent}/path", depth=1),
                color=colour,
                line_style="Lines",
                buffer_length=1,
            ),
        ],
    }


def _view() -> dict[str, Any]:
    return {
        "Class": "rviz_default_plugins/Orbit",
        "Name": "Current View",
        "Target Frame": "<Fixed Frame>",
        "Distance": 150,
        "Focal Point": {"X": 0, "Y": 0, "Z": 0},
        "Pitch": 0.9,
        "Yaw": 4.71,
        "Value": "Orbit (rviz)",
    }


def _top_down() -> dict[str, Any]:
    return {
        "Class": "rviz_default_plugins/TopDownOrtho",
        "Name": "From above",
        "Target Frame": "<Fixed Frame>",
        "Scale": 7,
        "Angle": 0,
        "X": 0,
        "Y": 0,
        "Value": "TopDownOrtho (rviz)",
    }

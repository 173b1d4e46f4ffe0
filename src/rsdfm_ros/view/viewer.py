"""Rerun: the recording, its destination, and the layout of the window.

rerun-sdk is an extra (requirements/view.txt): it is imported here, when a view is opened.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import Window

APPLICATION = "rsdfm_ros"
MEMORY_LIMIT = "25%"
"""Share of this machine's memory: a live viewer drops its oldest data beyond it."""


class ViewerError(RsdfmError):
    """The viewer is missing, or cannot do the request."""


def require_rerun() -> Any:
    """The module rerun. Raises: ViewerError that says how to get it."""
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        if sys.version_info < (3, 11):
            cure = "it needs Python 3.11 or later and this is {}.{}".format(*sys.version_info[:2])
        else:
            cure = "run `make setup-view` (or: pip install -r requirements/view.txt): 230 MB, 700 MB on disk"
        raise ViewerError(
            f"`rsdfm view` shows things with rerun-sdk, which is not here ({error}): {cure}. "
            "`rsdfm report` makes a page that needs no viewer"
        ) from error


def new_recording(name: str) -> Any:
    """An empty recording, not connected to anything yet."""
    rr = require_rerun()
    recording = rr.RecordingStream(APPLICATION)
    recording.send_recording_name(name)
    return recording


def open_output(
    recording: Any, *, save: Path | None = None, web: bool = False, connect: str | None = None
) -> str:
    """Send a recording to a file, a browser, a running viewer, or (the default) a window; where, as a sentence.

    Raises: ViewerError.
    """
    rr = require_rerun()
    if save is not None:
        if save.is_dir() or not save.parent.is_dir():
            raise ViewerError(f"--save {save}: give a file in a folder that exists, such as out/flight.rrd")
        try:
            recording.save(save)
        except (OSError, RuntimeError) as error:
            raise ViewerError(f"--save {save}: cannot be written ({error})") from error
        return f"recorded to {save}"
    if connect is not None:
        if not connect.startswith(("rerun+http://", "rerun+https://", "rerun://")):
            raise ViewerError(
                f"--connect {connect}: expected an address such as rerun+http://127.0.0.1:9876/proxy"
            )
        recording.connect_grpc(connect)
        return f"shown by the viewer at {connect}"
    if web:
        try:
            address = recording.serve_grpc(server_memory_limit=MEMORY_LIMIT)
            rr.serve_web_viewer(open_browser=False, connect_to=address)
        except RuntimeError as error:
            raise ViewerError(f"--web: the page cannot be served ({error})") from error
        return f"shown at http://127.0.0.1:9090/?url={quote(address, safe=':/')} (Ctrl-C ends it)"
    _require_window()
    try:
        recording.spawn(memory_limit=MEMORY_LIMIT, hide_welcome_screen=True)
    except (OSError, RuntimeError) as error:
        raise ViewerError(f"the viewer does not start ({error}): use --save FILE or --web instead") from error
    return "shown in a window of the rerun viewer"


def _require_window() -> None:
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), beside)))
    if shutil.which("rerun") is None:
        raise ViewerError(
            "the program `rerun`, which shows the window, is not on PATH although rerun-sdk is installed: "
            "reinstall it (make setup-view), or use --save FILE or --web"
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ViewerError(
            "there is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set): use --save FILE, --web, or "
            "--connect URL"
        )


def blueprint(
    agents: Sequence[str],
    cameras: Sequence[tuple[str, str]] = (),
    window: Window | None = None,
    contributing: Collection[str] = (),
    covered: bool = False,
) -> Any:
    """The window: cameras above; below them the scene in 3D, per UAV the maps truth | alone | with peers |
    contributors; plots of bytes, latency and IoU at the bottom.

    window: area of the maps. contributing: UAVs whose contributors are known. covered: whether the observers of cells
    are known, which are shown where contributors are not.
    """
    rrb = importlib.import_module("rerun.blueprint")
    places = sorted(cameras, key=lambda place: (len(place[0]), place)) or [(a, "camera") for a in agents]
    images = [
        rrb.Spatial2DView(origin=f"/map/{a}/{c}", name=a if c == "camera" else f"{a} {c}") for a, c in places
    ]

    def seen() -> list[Any]:  # a view of its own wherever it stands: one view cannot be in two places
        return [_map_view(rrb, "who sees what", ["/bev/coverage"], window)] if covered else []

    maps = [
        rrb.Grid(
            _map_view(rrb, "truth", ["/bev/truth/**"], window),
            _map_view(rrb, f"{a} alone", [f"/bev/{a}/single/**"], window),
            _map_view(rrb, f"{a} with peers", [f"/bev/{a}/collaborative/**"], window),
            *(
                [_map_view(rrb, f"who contributes to {a}", [f"/bev/{a}/contributors"], window)]
                if a in contributing
                else seen()
            ),
            grid_columns=2,
            name=a,
        )
        for a in agents
    ]
    if contributing:
        maps += seen()
    plots = [
        rrb.TimeSeriesView(origin=f"/plots/{name}", name=title)
        for name, title in (
            ("bytes", "bytes sent per image"),
            ("latency_ms", "latency, ms"),
            ("iou", "IoU with the truth"),
        )
    ]
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*images) if images else rrb.Spatial2DView(origin="/map", name="no camera yet"),
            rrb.Horizontal(
                rrb.Spatial3DView(origin="/map", contents=_scene(agents), name="scene"),
                rrb.Tabs(*maps),
                column_shares=[1, 1],
            ),
            rrb.Horizontal(*plots),
            row_shares=[3, 7, 2],
        ),
        rrb.TimePanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
    )


def _scene(agents: Sequence[str]) -> list[str]:
    """Content of the 3D view: one answer, not all of them on top of each other."""
    others = [f"- /map/{agent}/{name}" for agent in agents[1:] for name in ("boxes", "trajectories")]
    return ["+ /map/**", *others]


def _map_view(rrb: Any, name: str, contents: list[str], window: Window | None) -> Any:
    bounds = None
    if window is not None:
        bounds = rrb.VisualBounds2D(x_range=[0, window.ni], y_range=[0, window.nj])
    return rrb.Spatial2DView(
        origin="/bev",
        contents=["/bev/still/**", *contents],
        name=name,
        background=[18, 22, 28],
        visual_bounds=bounds,
    )

"""A mission as the page shows it, from messages, bags and recorded runs alike: a MissionSink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES, CameraView, Objects
from rsdfm_ros.data.outputs import Boxes, boxes_of_objects
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.view import maps
from rsdfm_ros.view.canvas import CLASS_COLOURS, TRUTH_COLOUR
from rsdfm_ros.view.scoring import scored_iou, vehicle_cells
from rsdfm_ros.view.sink import FOREGROUND_PERCENT, MAX_AGENTS, Polygons
from rsdfm_ros.view.web import encode
from rsdfm_ros.view.web.health import Health
from rsdfm_ros.view.web.instants import Instant, Instants

MAX_CAMERAS = 8
"""Of one UAV."""
MAX_POINTS = 20_000
"""Corners of the static scene."""
STATUS_KEYS = (
    "frames_processed", "frames_dropped", "rate_hz", "latency_median_ms", "latency_p95_ms", "processing_median_ms",
    "bytes_sent_frame", "bytes_sent", "bytes_received", "packets_received", "packets_lost", "packets_rejected",
    "peers", "peer_ages_s", "objects", "iou_single", "iou_collaborative", "ap_collaborative",
)  # fmt: skip
"""Figures that the page shows."""


class MissionRecord:
    """Takes arrays in any order; the server reads `instants` and `about`. May be used from several threads."""

    def __init__(
        self, title: str, *, live: bool = False, lockstep: bool = False, instants: Instants | None = None
    ) -> None:
        self.instants = Instants() if instants is None else instants
        self.window: Window | None = None
        self.agents: list[str] = []
        self.revision = 0
        """Changes of `about`."""
        self.live, self.lockstep = live, lockstep
        self._title, self._ended = title, ""
        self._still: dict[str, list[list[list[float]]]] = {"roads": [], "buildings": []}
        self.health = Health()

    def about(self) -> dict[str, Any]:
        """What does not change from instant to instant."""
        with self.instants.lock:
            w = self.window
            return {
                "title": self._title,
                "live": self.live,
                "lockstep": self.lockstep,
                "ended": self._ended,
                "agents": [
                    {"name": name, "colour": _css(maps.uav_colour(n))} for n, name in enumerate(self.agents)
                ],
                "window": None if w is None else [w.i0, w.j0, w.ni, w.nj, w.cell_size],
                "colours": {name: _css(colour) for name, colour in maps.CLASSES.values()},
                "truth_colour": _css(TRUTH_COLOUR),
                "classes": [[name, _css(c)] for name, c in zip(CLASSES, CLASS_COLOURS, strict=True)],
                **self._still,
            }

    def end(self, sentence: str) -> None:
        """Note why nothing follows."""
        with self.instants.lock:
            self._ended = sentence
            self._change()

    def clear(self) -> None:
        """Forget all instants, as after a jump back of the clock."""
        with self.instants.lock:
            self.instants.clear()
            self._change()

    # --- MissionSink ----------------------------------------------------------------------------------------------

    def expect(self, agents: Sequence[str]) -> None:
        with self.instants.lock:
            new = [a for a in dict.fromkeys(agents) if a not in self.agents]
            if new := new[: MAX_AGENTS - len(self.agents)]:
                self.agents += new
                self._change()

    def show_window(self, window: Window | None) -> None:
        with self.instants.lock:
            self.window = window
            self._change()

    def camera(self, agent: str, ns: int, view: CameraView, name: str = "camera") -> None:
        with self.instants.lock:
            if (instant := self._open(agent, ns)) is None:
                return
            cameras = instant.uav(agent).setdefault("cameras", {})
            if name not in cameras and len(cameras) >= MAX_CAMERAS:
                return
            cameras[name] = encode.camera_facts(view)
            self.instants.touch(instant)
        if data := encode.jpeg(view.image):  # without the lock: it takes a while
            with self.instants.lock:
                instant.images[agent, name] = data
                self.instants.touch(instant)

    def detections(self, agent: str, variant: str, ns: int, boxes: Boxes) -> None:
        self._put(agent, variant, ns, "boxes", encode.box_rows(boxes))

    def truth(self, ns: int, objects: Objects, agents: Sequence[str] = ()) -> None:
        rows, boxes = encode.object_rows(objects), boxes_of_objects(objects)
        with self.instants.lock:
            instant = self.instants.at(ns)
            instant.true_boxes = boxes
            instant.content.setdefault("truth", {}).update(boxes=rows, agents=list(agents)[:MAX_AGENTS])
            self.instants.touch(instant)
        if self.window is not None:
            self.true_cells(ns, vehicle_cells(boxes, self.window))

    def true_cells(self, ns: int, vehicle: NDArray[np.bool_]) -> None:
        encoded = encode.runs(vehicle)
        with self.instants.lock:
            instant = self.instants.at(ns)
            instant.true = vehicle
            instant.content.setdefault("truth", {})["cells"] = encoded
            for agent, variant in instant.cells:
                self._score(instant, agent, variant)
            self.instants.touch(instant)

    def occupancy(
        self, agent: str, variant: str, ns: int, percent: NDArray[np.uint8], window: Window
    ) -> None:
        vehicle = percent >= FOREGROUND_PERCENT
        shown = None if self.window is None else maps.onto(vehicle, window, self.window)
        if shown is None:  # the first window, or another region of interest
            self.show_window(window)
            shown = vehicle
            if (boxes := self.instants.at(ns).true_boxes) is not None:
                self.true_cells(ns, vehicle_cells(boxes, window))
        encoded = encode.runs(shown)
        with self.instants.lock:
            if (instant := self._open(agent, ns)) is None:
                return
            instant.uav(agent).setdefault(variant, {})["cells"] = encoded
            instant.cells[agent, variant] = shown
            self._score(instant, agent, variant)
            self.instants.touch(instant)

    def paths(
        self, agent: str, variant: str, ns: int, positions: NDArray[np.float64], ids: Sequence[int] = ()
    ) -> None:
        self._put(agent, variant, ns, "tracks", encode.track_rows(positions, ids))

    def sees(self, agent: str, ns: int, visible: NDArray[np.bool_]) -> None:
        with self.instants.lock:
            before = self.instants.at(ns).cells.get((agent, "seen"))
            seen = visible if before is None or before.shape != visible.shape else before | visible
            if (instant := self._open(agent, ns)) is not None:
                instant.cells[agent, "seen"] = seen
                instant.uav(agent)["seen"] = encode.runs(seen)
                self.instants.touch(instant)

    def contributors(self, agent: str, ns: int, dominant: NDArray[np.uint8]) -> None:
        rows = {"shape": list(dominant.shape), "runs": encode.value_runs(dominant)}
        with self.instants.lock:
            if (instant := self._open(agent, ns)) is not None:
                instant.uav(agent)["contributors"] = rows
                self.instants.touch(instant)

    def status(self, agent: str, ns: int, facts: Mapping[str, Any]) -> None:
        kept = {key: _plain(facts[key]) for key in STATUS_KEYS if facts.get(key) is not None}
        with self.instants.lock:
            if (instant := self._open(agent, ns)) is not None:
                entry = instant.uav(agent)
                entry["facts"] = {**entry.pop("scores", {}), **kept}
                self.instants.touch(instant)

    def surroundings(self, roads: Polygons, buildings: Polygons) -> None:
        left, still = MAX_POINTS, {}
        for name, polygons in (("roads", roads), ("buildings", buildings)):
            still[name] = []
            for polygon in polygons:
                if (left := left - len(polygon)) >= 0:
                    still[name].append([[round(float(x), 1), round(float(y), 1)] for x, y in polygon])
        with self.instants.lock:
            self._still = still
            self._change()

    # --- inside -------------------------------------------------------------------------------------------------

    def _put(self, agent: str, variant: str, ns: int, key: str, rows: list[list[float]]) -> None:
        with self.instants.lock:
            if (instant := self._open(agent, ns)) is not None:
                instant.uav(agent).setdefault(variant, {})[key] = rows
                self.instants.touch(instant)

    def _open(self, agent: str, ns: int) -> Instant | None:
        """The instant of a stamp; None for a UAV too many."""
        self.expect([agent])
        return self.instants.at(ns) if agent in self.agents else None

    def _score(self, instant: Instant, agent: str, variant: str) -> None:
        cells, true = instant.cells.get((agent, variant)), instant.true
        if cells is None or true is None or self.window is None or cells.shape != true.shape:
            return
        if (iou := scored_iou(cells, true, self.window)) is not None:
            entry = instant.uav(agent)
            figures = entry["facts"] if "facts" in entry else entry.setdefault("scores", {})
            figures.setdefault(f"iou_{variant}", round(iou, 4))

    def _change(self) -> None:
        self.revision += 1


def _css(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour[:3])


def _plain(value: Any) -> Any:
    """Numbers, rounded, and short texts, as JSON can carry them."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value[:MAX_AGENTS]]
    if isinstance(value, str):
        return value[:64]
    number = float(value)
    return None if not np.isfinite(number) else int(number) if number == int(number) else round(number, 4)

"""A mission as rerun entities, from messages, bags and recorded runs alike.

    /map/<uav>/<camera>          where the camera is; image, boxes (its detections) and truth projected into it
    /map/<uav>/boxes, trajectories, track/<camera>;   /map/truth, roads, buildings
    /bev/truth, /bev/<uav>/{single,collaborative}/{cells,boxes,trajectories}, /bev/<uav>/contributors, /bev/coverage
    /plots/{bytes,latency_ms,iou}/<uav>

Times are stamps on the timeline `stamp`: seconds since the start of a simulation's clock, or dates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.outputs import Boxes, boxes_of_objects
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.view import maps
from rsdfm_ros.view.canvas import TRUTH_COLOUR, Canvas, Placement, class_name
from rsdfm_ros.view.scoring import scored_iou, vehicle_cells
from rsdfm_ros.view.sink import BOX_SCORE, COLLABORATIVE, FOREGROUND_PERCENT, MAX_AGENTS

PLOTS = {"bytes": "bytes_sent_frame", "latency_ms": "latency_median_ms"}
"""Plot → key in status.jsonl."""
KEPT_INSTANTS = 40
TRACK_POINTS = 2000


@dataclass
class _Instant:
    """Data that must be complete before it can be drawn: images and boxes of one stamp, truth and answers."""

    cameras: dict[tuple[str, str], Placement] = field(default_factory=dict)
    boxes: dict[str, Boxes] = field(default_factory=dict)
    truth: Boxes | None = None
    true: NDArray[np.bool_] | None = None
    cells: dict[tuple[str, str], NDArray[np.bool_]] = field(default_factory=dict)
    visible: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    peers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dominant: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


class Scene:
    """Takes arrays by UAV and stamp (ns) in any order, and draws what is complete."""

    def __init__(self, recording: Any, agents: Sequence[str] = (), window: Window | None = None) -> None:
        """agents: those known beforehand; others get their place when they appear. window: of all maps, if known."""
        self.canvas = Canvas(recording)
        self.agents: list[str] = list(agents)
        self.cameras: list[tuple[str, str]] = []
        self.window: Window | None = None
        self._contributing: set[str] = set()
        self._covered = False
        self._instants: OrderedDict[int, _Instant] = OrderedDict()
        self._tracks: dict[str, list[NDArray[np.float64]]] = {}
        self.show_window(window)

    def expect(self, agents: Sequence[str]) -> None:
        """Give UAVs their numbers, colours and views, in this order."""
        new = [a for a in dict.fromkeys(agents) if a not in self.agents][: MAX_AGENTS - len(self.agents)]
        if new:
            self.agents += new
            self._arrange()

    def show_window(self, window: Window | None) -> None:
        """Let all maps show this window; cells on another one are not compared any more."""
        self.window = window
        for instant in self._instants.values():
            instant.cells.clear()
            instant.visible.clear()
            instant.true = None
        self._arrange()

    # --- taking in ------------------------------------------------------------------------------------------------

    def camera(self, agent: str, ns: int, view: CameraView, name: str = "camera") -> None:
        """An image and where it was taken."""
        self._know(agent)
        if (agent, name) not in self.cameras and len(self.cameras) < MAX_AGENTS:
            self.cameras.append((agent, name))
            self._arrange()
        instant = self._open(ns)
        self.canvas.camera(f"/map/{agent}/{name}", view)
        track = self._tracks.setdefault(f"/map/{agent}/track/{name}", [])
        track.append(view.T_map_camera[:3, 3].copy())
        del track[:-TRACK_POINTS]
        if len(track) > 1:
            self.canvas.track(f"/map/{agent}/track/{name}", np.array(track), self._colour(agent))
        size = (view.image.shape[0], view.image.shape[1])
        instant.cameras[agent, name] = Placement(view.K, view.T_map_camera, size)  # the image itself is freed
        self._project(instant, agent)

    def detections(self, agent: str, variant: str, ns: int, boxes: Boxes) -> None:
        """Detections of a UAV."""
        self._know(agent)
        instant, sure = self._open(ns), boxes.select(boxes.scores >= BOX_SCORE)
        if self.window is not None:
            self.canvas.flat(f"/bev/{agent}/{variant}/boxes", sure, self.window)
        if variant == COLLABORATIVE:
            labels = [f"{class_name(c)} {s:.2f}" for c, s in zip(sure.classes, sure.scores, strict=True)]
            self.canvas.solid(f"/map/{agent}/boxes", sure, None, labels)
            instant.boxes[agent] = sure
            self._project(instant, agent)

    def truth(self, ns: int, objects: Objects, agents: Sequence[str] = ()) -> None:
        """True places of the vehicles; whom they are visible to is not shown."""
        instant = self._open(ns)
        instant.truth = boxes = boxes_of_objects(objects)
        labels = [f"{class_name(c)} #{i}" for c, i in zip(objects.classes, objects.ids, strict=True)]
        self.canvas.solid("/map/truth", boxes, TRUTH_COLOUR, labels)
        for agent in {a for a, _ in instant.cameras}:
            self._project(instant, agent)
        if self.window is not None:
            self.canvas.flat("/bev/truth/boxes", boxes, self.window, TRUTH_COLOUR)
            self.true_cells(ns, vehicle_cells(boxes, self.window))

    def true_cells(self, ns: int, vehicle: NDArray[np.bool_]) -> None:
        """Cells (ni, nj) of the window with a true vehicle."""
        instant = self._open(ns)
        instant.true = vehicle
        classes = np.where(vehicle, maps.VEHICLE, maps.GROUND).astype(np.uint8)
        self.canvas.map("/bev/truth/cells", classes, self.window)
        for (agent, variant), answered in instant.cells.items():
            self._compare(agent, variant, answered, vehicle)

    def occupancy(
        self, agent: str, variant: str, ns: int, percent: NDArray[np.uint8], window: Window
    ) -> None:
        """Probability of a vehicle in per cent (ni, nj) on a window.

        All maps show the first window, until a UAV answers on one that does not meet it (another region of interest).
        Raises: ValueError for cells of another size.
        """
        self._know(agent)
        instant = self._open(ns)
        vehicle = percent >= FOREGROUND_PERCENT
        shown = None if self.window is None else maps.onto(vehicle, window, self.window)
        if shown is None:
            self.show_window(window)
            shown = vehicle
            if instant.truth is not None:
                instant.true = vehicle_cells(instant.truth, window)
        instant.cells[agent, variant] = shown
        self._compare(agent, variant, shown, instant.true)

    def paths(
        self, agent: str, variant: str, ns: int, positions: NDArray[np.float64], ids: Sequence[int] = ()
    ) -> None:
        """Present and future positions of objects: positions (N, K, 2) m."""
        self._know(agent)
        self._open(ns)
        if self.window is not None:
            self.canvas.flat_paths(f"/bev/{agent}/{variant}/trajectories", positions, self.window)
        if variant == COLLABORATIVE:
            self.canvas.solid_paths(f"/map/{agent}/trajectories", positions, [f"#{i}" for i in ids])

    def sees(self, agent: str, ns: int, visible: NDArray[np.bool_]) -> None:
        """Cells (ni, nj) of the window that a UAV sends features of, packet by packet."""
        self._know(agent)
        instant = self._open(ns)
        before = instant.visible.get(agent)
        instant.visible[agent] = visible if before is None else before | visible
        known = {a: v for a, v in instant.visible.items() if a in self.agents}
        numbers = [self.agents.index(a) for a in known]
        if not self._covered:
            self._covered = True
            self._arrange()
        if known:
            self.canvas.map(
                "/bev/coverage", maps.coverage_classes(list(known.values()), numbers), self.window
            )

    def contributors(self, agent: str, ns: int, dominant: NDArray[np.uint8]) -> None:
        """UAV with the largest weight in every cell (ni, nj) of a fused map; 1 + k is the k-th of `peers`."""
        self._know(agent)
        if agent not in self._contributing:
            self._contributing.add(agent)
            self._arrange()
        self._open(ns).dominant[agent] = dominant
        self._contribute(agent, ns)

    def status(self, agent: str, ns: int, facts: Mapping[str, Any]) -> None:
        """Figures of a UAV by their keys in status.jsonl: points of plots, and the peers that `contributors` counts."""
        self._know(agent)
        instant = self._open(ns)
        for plot, key in PLOTS.items():
            if isinstance(facts.get(key), int | float):
                self.canvas.point(f"/plots/{plot}/{agent}", facts[key])
        if "peers" in facts:
            instant.peers[agent] = tuple(facts["peers"])
            self._contribute(agent, ns)

    def surroundings(
        self,
        roads: Sequence[Sequence[tuple[float, float]]],
        buildings: Sequence[Sequence[tuple[float, float]]],
    ) -> None:
        """The static scene, as polygons of (x, y) in metres."""
        self.canvas.still("roads", roads, self.window)
        self.canvas.still("buildings", buildings, self.window)

    # --- complete instants
    # ---------------------------------------------------------------------------------------------

    def _project(self, instant: _Instant, agent: str) -> None:
        """Boxes of an instant in the images that a UAV took then."""
        for (owner, name), placement in instant.cameras.items():
            if owner != agent:
                continue
            path = f"/map/{agent}/{name}"
            if agent in instant.boxes:
                self.canvas.projected(f"{path}/boxes", placement, instant.boxes[agent], None)
            if instant.truth is not None:
                self.canvas.projected(f"{path}/truth", placement, instant.truth, TRUTH_COLOUR)

    def _compare(
        self, agent: str, variant: str, vehicle: NDArray[np.bool_], true: NDArray[np.bool_] | None
    ) -> None:
        self.canvas.map(f"/bev/{agent}/{variant}/cells", maps.answer_classes(vehicle, true), self.window)
        if true is None or self.window is None:
            return
        iou = scored_iou(vehicle, true, self.window)
        if iou is not None:
            self.canvas.point(f"/plots/iou/{agent} {variant}", iou)

    def _contribute(self, agent: str, ns: int) -> None:
        instant = self._open(ns)
        dominant, names = instant.dominant.get(agent), instant.peers.get(agent)
        if dominant is None or names is None:
            return
        for name in names:
            self._know(name)
        numbers = [self.agents.index(n) for n in (agent, *names) if n in self.agents]
        self.canvas.map(
            f"/bev/{agent}/contributors", maps.contributor_classes(dominant, numbers), self.window
        )

    # --- keeping --------------------------------------------------------------------------------------------------

    def _open(self, ns: int) -> _Instant:
        """The instant, with the canvas at its time."""
        self.canvas.at(ns)
        if ns not in self._instants:
            self._instants[ns] = _Instant()
            while len(self._instants) > KEPT_INSTANTS:
                self._instants.popitem(last=False)
        return self._instants[ns]

    def _know(self, agent: str) -> None:
        if agent not in self.agents:
            self.expect([agent])

    def _arrange(self) -> None:
        self.canvas.arrange(self.agents, self.cameras, self.window, self._contributing, self._covered)

    def _colour(self, agent: str) -> tuple[int, ...]:
        return maps.uav_colour(self.agents.index(agent)) if agent in self.agents else (200, 200, 200, 255)

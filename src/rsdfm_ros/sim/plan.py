"""Elements of a world's plan: streets, blocks, buildings, trees, clutter, parking places, ways on foot.

A plan lies in its own frame, x and y along its streets, centred on the origin; the world may turn it (Draw.turn_rad).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rsdfm_ros.sim.config import (
    JUNCTION_HALF_M,
    LANE_WIDTH_M,
    PAVEMENT_WIDTH_M,
    ROAD_HALF_WIDTH_M,
    Range,
)
from rsdfm_ros.sim.vehicles import SHARES

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""
Point2 = tuple[float, float]


@dataclass(frozen=True)
class Road:
    """Cross-section of a street, lengths in m; streets that meet in a junction have equal lanes and junctions.

    lane_m: width of a lane · lanes: per direction; more than one only where nothing crosses · median_m: between the
    directions · half_width_m: axis to kerb · pavement_m: beyond the kerb, 0 for none · junction_half_m: centre to the
    stop lines · kerb_offset_m: kerb to the middle of a parked vehicle · pace: of traffic, against a town's ·
    place_lengths_m, place_odds: of places along the kerb · marks: `town`, `plain` (none), `country` or `motorway`.
    """

    lane_m: float = LANE_WIDTH_M
    lanes: int = 1
    median_m: float = 0.0
    half_width_m: float = ROAD_HALF_WIDTH_M
    pavement_m: float = PAVEMENT_WIDTH_M
    junction_half_m: float = JUNCTION_HALF_M
    kerb_offset_m: float = 1.38
    pace: float = 1.0
    place_lengths_m: tuple[float, ...] = (6.2, 9.6, 13.8)
    place_odds: tuple[float, ...] = (0.56, 0.24, 0.2)
    marks: str = "town"

    @property
    def built_half_width_m(self) -> float:
        """Axis to the far side of the pavement."""
        return self.half_width_m + self.pavement_m

    def lane_offset_m(self, lane: int) -> float:
        """Axis to the middle of a lane, counted from the inside."""
        return 0.5 * self.median_m + (lane + 0.5) * self.lane_m


TOWN = Road()


@dataclass(frozen=True)
class Street:
    """A straight stretch between two junctions (or the edge of the world).

    axis: 0 along x, 1 along y · line: index of the street line across · across_m: its fixed coordinate ·
    start_m < end_m: the stretch along the axis · nodes: index along the axis of the junctions at the two
    ends, None at the edge of the world · parking: whether vehicles park at the (left, right) kerb seen along
    the axis.
    """

    axis: int
    line: int
    across_m: float
    start_m: float
    end_m: float
    nodes: tuple[int | None, int | None]
    parking: tuple[bool, bool]
    road: Road = TOWN

    def rectangle(self, half_m: float, beyond_m: float = 0.0) -> Rectangle:
        """Everything within half_m of the axis, from the start to the end and beyond_m further."""
        a, b = self.start_m - beyond_m, self.end_m + beyond_m
        if self.axis == 0:
            return (a, self.across_m - half_m, b, self.across_m + half_m)
        return (self.across_m - half_m, a, self.across_m + half_m, b)


@dataclass(frozen=True)
class Building:
    """An upright block; facade and roof pick among the appearance of the scene.

    form: `flat`, or `gable` with the ridge along the longer side, `height_m` up to the eaves, rising by `rise_m`.
    """

    footprint: Rectangle
    height_m: float
    facade: int
    roof: int
    form: str = "flat"
    rise_m: float = 0.0

    @property
    def top_m(self) -> float:
        return self.height_m + self.rise_m


@dataclass(frozen=True)
class Tree:
    """A tree; form: `round` or `conifer`."""

    x: float
    y: float
    height_m: float
    crown_radius_m: float
    look: int
    form: str = "round"


@dataclass(frozen=True)
class Place:
    """A parking place: centre, direction along it, room, and whether it lies at a kerb or is a bay."""

    x: float
    y: float
    yaw: float
    length_m: float
    kerb: bool


@dataclass(frozen=True)
class Surface:
    """A patch of ground: a convex polygon; material is a name of ground.MATERIALS; stripe_m > 0 paints furrows."""

    points: tuple[Point2, ...]
    material: str
    stripe_m: float = 0.0


@dataclass(frozen=True)
class Clutter:
    """A thing that is no labelled object: a box turned by yaw, or a drum (an upright prism of `width_m` across).

    colour: a name of appearance.CLUTTER_COLOURS · z_m: underside above the ground.
    """

    x: float
    y: float
    yaw: float
    length_m: float
    width_m: float
    height_m: float
    colour: str
    z_m: float = 0.0
    drum: bool = False


@dataclass(frozen=True)
class Walk:
    """A straight way that people walk or cycle to and fro, from one end to the other."""

    start: Point2
    end: Point2


@dataclass(frozen=True)
class Crowd:
    """Numbers of vehicles unless the configuration sets them: numbers within CORE_M of the middle, by range.

    kerb, bays: parked at kerbs and in bays · moving · shares: of the classes among the moving ones.
    """

    kerb: Range = (12, 24)
    bays: Range = (7, 15)
    moving: Range = (13, 24)
    shares: tuple[float, ...] = SHARES


@dataclass(frozen=True)
class Layout:
    """All static elements. Street lines: x = xs[i] (axis 1) and y = ys[j] (axis 0)."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    streets: tuple[Street, ...]
    blocks: tuple[tuple[Rectangle, str], ...]
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    places: tuple[Place, ...]
    surfaces: tuple[Surface, ...] = ()
    clutter: tuple[Clutter, ...] = ()
    walks: tuple[Walk, ...] = ()
    lamps: tuple[Point2, ...] = ()
    crowd: Crowd = field(default_factory=Crowd)
    palette: str = "town"

    def road_rectangles(self) -> list[Rectangle]:
        """Carriageways with parking strips as rectangles in metres; they overlap at junctions."""
        return [s.rectangle(s.road.half_width_m, s.road.half_width_m) for s in self.streets]

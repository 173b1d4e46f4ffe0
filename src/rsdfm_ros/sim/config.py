"""Parameters of a simulated mission."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.errors import RsdfmError

LANE_WIDTH_M = 3.5
ROAD_HALF_WIDTH_M = 6.2
"""Street axis to kerb: one driving lane and a parking strip."""
PAVEMENT_WIDTH_M = 2.6
JUNCTION_HALF_M = 10.0
"""Junction centre to the stop lines."""
EXTENT_M = 105.0
"""Vehicles appear and disappear at this distance from the origin, along x or y."""
PAINTED_EXTENT_M = 125.0
"""Half the side of the painted ground."""

MAX_UAVS = 8
"""UAVs of a mission."""
DEFAULT_UAVS, DEFAULT_FRAMES = 4, 40
"""UAVs and frames of a simulated scene unless others are asked for."""
SEED_LIMIT = 2**31
"""Seeds lie below it."""
VALIDATION_SEEDS_FROM, TEST_SEEDS_FROM = 8000, 9000
"""First seeds of the validation and of the test scenes; training uses lower ones."""

Range = tuple[float, float]
"""Lowest and highest value; equal values fix it."""

MOTIONS = ("calm", "lively")
STYLES = ("block", "oldtown", "suburb", "rural", "carpark", "highway", "industrial")
HELD_OUT_STYLES = ("industrial",)
"""Never drawn by `mixed`, so that transfer to them can be tested."""
WEATHERS = ("clear", "overcast", "haze", "low-sun", "night")
TERRAINS = ("flat", "slope", "steps")
SEASONS = ("summer", "autumn", "winter")
TEXTURES = ("plain", "natural")
BODIES = ("basic", "varied")
MIXED = "mixed"
CORE_M = 64.0
"""Half the side of the square in which vehicles are counted."""


class ConfigError(RsdfmError, ValueError):
    """A parameter of a simulated mission is out of range."""


def require_range(name: str, value: Range | None, low: float, high: float, unit: str) -> None:
    """Raises ConfigError unless value is None or low <= value[0] <= value[1] <= high."""
    if value is not None and not low <= value[0] <= value[1] <= high:
        raise ConfigError(
            f"{name} {value[0]:.4g}:{value[1]:.4g} is out of range: expected LOW:HIGH within {low:g} to {high:g} {unit}"
        )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels and the principal point in the middle of the image."""

    width_px: int
    height_px: int
    horizontal_fov_rad: float

    @property
    def focal_px(self) -> float:
        """Focal length, the same in u and v."""
        return 0.5 * self.width_px / math.tan(0.5 * self.horizontal_fov_rad)

    @property
    def vertical_fov_rad(self) -> float:
        """Vertical field of view that makes pixels square."""
        return 2.0 * math.atan(0.5 * self.height_px / self.focal_px)

    @property
    def K(self) -> NDArray[np.float64]:
        """Intrinsics (3, 3), the left edge of the image at u = 0."""
        f = self.focal_px
        return np.array([[f, 0.0, 0.5 * self.width_px], [0.0, f, 0.5 * self.height_px], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class FlightConfig:
    """Flights of the UAVs; the default is the standard mission.

    altitude_m: above the ground, kept all the time; None: 30 to 80 m · pitch_deg: of the optical axis below the
    horizon, kept all the time; None: 35 to 60 degrees, flatter for low flights · motion: `calm` (2.5 to 5 m/s),
    `lively` (6 to 14 m/s, longer arcs, pans and banks) · spread_m: points of regard lie at random within this of the
    origin, in x and y; large values make views overlap in part only.
    """

    altitude_m: Range | None = None
    pitch_deg: Range | None = None
    motion: str = "calm"
    spread_m: float = 12.0

    def __post_init__(self) -> None:
        require_range("altitude", self.altitude_m, 15, 150, "m")
        require_range("pitch", self.pitch_deg, 20, 85, "degrees")
        require_range("spread", (self.spread_m, self.spread_m), 0, 60, "m")
        if self.motion not in MOTIONS:
            raise ConfigError(f"unknown motion {self.motion!r}: expected one of {', '.join(MOTIONS)}")


@dataclass(frozen=True)
class WorldConfig:
    """Appearance and traffic of a world; the default is the standard world. Ranges are drawn from per scene.

    style: a name of STYLES, or `mixed`: one that is not held out, by seed · weather: a name of WEATHERS, or `mixed` ·
    vehicles: intended number within CORE_M of the middle; None: as usual in the style · people: on foot and on
    bicycles, no labelled objects · turn_deg: of the plan about the vertical · terrain: a name of TERRAINS, or `mixed` ·
    blur_ms: exposure time of the moving cameras · noise: strength of the sensor's noise, 1 is that of a small camera ·
    season: a name of SEASONS, or `mixed` · textures: of ground, roofs and walls, a name of TEXTURES, or `mixed` ·
    bodies: of vehicles, a name of BODIES · distractors: cranes, containers, construction sites, ponds, markets, rubble.
    """

    style: str = "block"
    weather: str = "clear"
    vehicles: Range | None = None
    people: Range = (0.0, 0.0)
    turn_deg: Range = (0.0, 0.0)
    terrain: str = "flat"
    blur_ms: Range = (0.0, 0.0)
    noise: Range = (0.0, 0.0)
    season: str = "summer"
    textures: str = "plain"
    bodies: str = "basic"
    distractors: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        require_range("vehicles", self.vehicles, 0, 200, "vehicles")
        require_range("people", self.people, 0, 100, "people")
        require_range("turn", self.turn_deg, -360, 360, "degrees")
        require_range("blur", self.blur_ms, 0, 50, "ms")
        require_range("noise", self.noise, 0, 5, "")
        require_range("distractors", self.distractors, 0, 40, "distractors")
        for name, value, known in (
            ("style", self.style, (*STYLES, MIXED)),
            ("weather", self.weather, (*WEATHERS, MIXED)),
            ("terrain", self.terrain, (*TERRAINS, MIXED)),
            ("season", self.season, (*SEASONS, MIXED)),
            ("textures", self.textures, (*TEXTURES, MIXED)),
            ("bodies", self.bodies, BODIES),
        ):
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}: expected one of {', '.join(known)}")


@dataclass(frozen=True)
class SimConfig:
    """Camera, time, label and flight settings; everything else in a world depends on its seed.

    width_px, height_px: image size · horizontal_fov_rad: of every camera, unless fov_deg gives a range to draw each
    UAV's from · frame_rate_hz: frames per second of mission · max_frames: frames precomputed; a longer mission extends
    a shorter one without changing it · label_extent_m: objects with |x| and |y| below this are reported · samples:
    samples per pixel of the image · flight, world: see FlightConfig, WorldConfig.
    """

    width_px: int = 480
    height_px: int = 270
    horizontal_fov_rad: float = math.radians(75.0)
    frame_rate_hz: float = 2.0
    max_frames: int = 128
    label_extent_m: float = 100.0
    samples: int = 4
    fov_deg: Range | None = None
    flight: FlightConfig = field(default_factory=FlightConfig)
    world: WorldConfig = field(default_factory=WorldConfig)

    def __post_init__(self) -> None:
        for size in (self.width_px, self.height_px):
            require_range("size in pixels", (size, size), 32, 4096, "px")
        require_range("fov", self.fov_deg, 20, 130, "degrees")

    @property
    def camera(self) -> Camera:
        """The camera of every UAV, where fov_deg gives no range."""
        return Camera(self.width_px, self.height_px, self.horizontal_fov_rad)

    @property
    def focal_px(self) -> float:
        """Focal length of `camera`."""
        return self.camera.focal_px

    @property
    def vertical_fov_rad(self) -> float:
        """Vertical field of view of `camera`."""
        return self.camera.vertical_fov_rad

    @property
    def K(self) -> NDArray[np.float64]:
        """Intrinsics (3, 3) of `camera`."""
        return self.camera.K


def draw_cameras(seed: int, uavs: int, config: SimConfig) -> tuple[Camera, ...]:
    """The camera of every UAV of a mission."""
    if config.fov_deg is None:
        return (config.camera,) * uavs
    fovs = np.radians(np.random.default_rng([seed, 9]).uniform(*config.fov_deg, uavs))
    return tuple(Camera(config.width_px, config.height_px, float(fov)) for fov in fovs)


MAX_FRAMES = SimConfig().max_frames
"""Most frames that the flights and the traffic of a simulated world are planned for."""

"""Options of `rsdfm simulate` and `rsdfm evaluate` for the simulated world and its cameras."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.sim.config import (
    BODIES,
    HELD_OUT_STYLES,
    MOTIONS,
    SEASONS,
    STYLES,
    TERRAINS,
    TEXTURES,
    WEATHERS,
    FlightConfig,
    Range,
    SimConfig,
    WorldConfig,
)


@dataclass(frozen=True)
class Option:
    """An option of the command line; its default is that of the simulator."""

    name: str
    metavar: str
    help: str

    @property
    def attribute(self) -> str:
        return self.name[2:].replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option("--size", "WxH", "size of the images in pixels (default 480x270)"),
    Option(
        "--fov", "DEG[:DEG]", "horizontal field of view, a range is drawn from per UAV and scene (default 75)"
    ),
    Option(
        "--altitude", "M[:M]", "altitude above ground that is kept, drawn per UAV and scene (default 30:80)"
    ),
    Option(
        "--pitch",
        "DEG[:DEG]",
        "of the camera below the horizon, drawn per UAV and scene (default 35:60, flatter for low flights)",
    ),
    Option("--spread", "M", "points of regard lie within this of the middle, in x and y (default 12)"),
    Option(
        "--style",
        "NAME",
        f"kind of place: {', '.join(STYLES)}, or mixed: by seed, all but {', '.join(HELD_OUT_STYLES)} (default block)",
    ),
    Option("--weather", "NAME", f"{', '.join(WEATHERS)}, or mixed: by seed (default clear)"),
    Option(
        "--vehicles",
        "N[:N]",
        "vehicles within 64 m of the middle, as far as there is room (default: by style)",
    ),
    Option("--people", "N[:N]", "people on foot and on bicycles, which are no objects (default 0)"),
    Option("--turn", "DEG[:DEG]", "of the plan against the map's axes (default 0)"),
    Option("--terrain", "NAME", f"{', '.join(TERRAINS)}, or mixed: by seed (default flat)"),
    Option("--season", "NAME", f"{', '.join(SEASONS)}, or mixed: by seed (default summer)"),
    Option(
        "--textures",
        "NAME",
        f"of ground, roofs and walls: {', '.join(TEXTURES)}, or mixed: by seed (default plain)",
    ),
    Option("--bodies", "NAME", f"of vehicles: {' or '.join(BODIES)} (default basic)"),
    Option(
        "--distractors",
        "N[:N]",
        "cranes, containers, construction sites, ponds, markets and rubble, which are no objects (default 0)",
    ),
    Option("--blur", "MS[:MS]", "exposure time of the moving cameras (default 0)"),
    Option("--noise", "X[:X]", "strength of sensor noise, 1 is a small camera's (default 0)"),
    Option("--motion", "NAME", f"how UAVs fly: {' or '.join(MOTIONS)} (default calm)"),
)


def add_arguments(parser: argparse.ArgumentParser, title: str = "the simulated world") -> None:
    """Adds the options, in a group of their own."""
    group = parser.add_argument_group(title)
    for option in OPTIONS:
        group.add_argument(option.name, metavar=option.metavar, help=option.help)


def given(args: argparse.Namespace) -> dict[str, str]:
    """The options that were given: their values by name without dashes."""
    values = {o.attribute: getattr(args, o.attribute) for o in OPTIONS}
    return {name: str(value) for name, value in values.items() if value is not None}


def parse(options: Mapping[str, str]) -> SimConfig:
    """The configuration that options (values by name without dashes) ask for.

    Raises: RsdfmError that says what was expected.
    """
    config = SimConfig()
    flight = FlightConfig(
        altitude_m=_range("--altitude", options.get("altitude")),
        pitch_deg=_range("--pitch", options.get("pitch")),
        motion=options.get("motion") or config.flight.motion,
        spread_m=_number("--spread", options.get("spread"), config.flight.spread_m),
    )
    width, height = _size(options.get("size"), (config.width_px, config.height_px))
    usual = config.world
    world = WorldConfig(
        style=options.get("style") or usual.style,
        weather=options.get("weather") or usual.weather,
        vehicles=_range("--vehicles", options.get("vehicles")),
        people=_range("--people", options.get("people")) or usual.people,
        turn_deg=_range("--turn", options.get("turn")) or usual.turn_deg,
        terrain=options.get("terrain") or usual.terrain,
        blur_ms=_range("--blur", options.get("blur")) or usual.blur_ms,
        noise=_range("--noise", options.get("noise")) or usual.noise,
        season=options.get("season") or usual.season,
        textures=options.get("textures") or usual.textures,
        bodies=options.get("bodies") or usual.bodies,
        distractors=_range("--distractors", options.get("distractors")) or usual.distractors,
    )
    fov = _range("--fov", options.get("fov"))
    return replace(config, width_px=width, height_px=height, fov_deg=fov, flight=flight, world=world)


def slug(options: Mapping[str, str]) -> str:
    """A part of a folder's name that tells these options from others; empty if there are none."""
    return "".join(f"-{name}{re.sub('[^A-Za-z0-9.]', '_', value)}" for name, value in options.items())


def _range(option: str, text: str | None) -> Range | None:
    if text is None:
        return None
    parts = text.split(":")
    try:
        numbers: Sequence[float] = [float(p) for p in parts]
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 2):
        raise RsdfmError(f"{option} {text}: expected a number, or LOW:HIGH")
    return numbers[0], numbers[-1]


def _number(option: str, text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        raise RsdfmError(f"{option} {text}: expected a number") from None


def _size(text: str | None, default: tuple[int, int]) -> tuple[int, int]:
    if text is None:
        return default
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if not found:
        raise RsdfmError(f"--size {text}: expected WIDTHxHEIGHT in pixels, e.g. 640x360")
    return int(found[1]), int(found[2])

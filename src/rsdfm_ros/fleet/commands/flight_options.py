"""Options of `rsdfm demo` for what is flown: UAVs, world, budget and rate, without a description of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rsdfm_ros.fleet.description.options import SETTINGS, checked_setting, choices, sentence, setting_value
from rsdfm_ros.fleet.description.parts import UavDescription
from rsdfm_ros.fleet.replay import parse_rate

OPTIONS = ("uavs", "seed", "style", "weather", "budget_bytes")
"""Options of a fleet that the demo has too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them in a group of their own."""
    group = parser.add_argument_group("what is flown, instead of what the description says")
    for name in OPTIONS:
        values = choices(name)
        shown = "{" + ",".join(values) + "}" if values else name.rpartition("_")[2].upper()
        group.add_argument(f"--{name.replace('_', '-')}", metavar=shown, help=sentence(name))
    group.add_argument(
        "--rate",
        metavar="X",
        help="mission seconds per second, such as 1 for real time: images that come too fast are dropped; max: mission "
        "time waits for every answer (0.01 to 100, or max)",
    )


def flight_overrides(args: argparse.Namespace, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the description by dotted name, over those `given` by --set. Raises: FleetDescriptionError."""
    overrides = dict(given)
    for name in OPTIONS:
        if (text := getattr(args, name)) is not None:
            setting, option = SETTINGS[name], f"--{name.replace('_', '-')}"
            overrides[setting] = checked_setting(option, setting, setting_value(setting, text))
    if args.rate is not None:
        rate = parse_rate(args.rate)
        overrides["world.lockstep"] = rate is None
        if rate is not None:
            overrides["world.real_time_factor"] = rate
            # A lockstep mission may wait long for peers, as time stands still; one at a rate would miss images.
            overrides.setdefault("uav.peer_wait_s", UavDescription().peer_wait_s)
    return overrides

"""A fleet with images from a bag: the content of the bag determines the UAVs and their settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from rsdfm_ros.data.bags.replay_plan import ReplayPlan
from rsdfm_ros.fleet.checks import checked_plan
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import REPLAY, MemberDescription, ReplayDescription


def replay_fleet(
    fleet: FleetDescription,
    replay: ReplayDescription,
    *,
    rate: float | None = None,
    uavs: Sequence[str] = (),
) -> tuple[FleetDescription, list[str]]:
    """The fleet with the bag as its world, and sentences about missing topics and damage.

    rate: recorded seconds per second; None for lockstep, as fast as the UAVs answer · uavs: run only these UAVs of
    the bag; recorded packets of the others are played.
    Raises: BagError, TopicMapError, FleetDescriptionError.
    """
    plan, notes = checked_plan(replay)
    plan = plan.chosen(uavs)
    enabled = fleet.evaluator.enabled and plan.has_truth and replay.loops == 1
    if fleet.evaluator.enabled and not enabled:
        notes.append("the answers are not scored" + ("" if plan.has_truth else ": there is no truth"))
    absolute = dataclasses.replace(
        replay,
        bag=str(Path(replay.bag).absolute()),
        topic_map=str(Path(replay.topic_map).absolute()) if replay.topic_map else "",
    )
    world = dataclasses.replace(
        fleet.world, kind=REPLAY, lockstep=rate is None, real_time_factor=1.0 if rate is None else rate
    )
    made = dataclasses.replace(
        fleet,
        world=world,
        replay=absolute,
        uavs=len(plan.uavs),
        members=_members(fleet, plan),
        evaluator=dataclasses.replace(fleet.evaluator, enabled=enabled),
    )
    made.check()
    return made, notes


def parse_rate(text: str) -> float | None:
    """`max` as None, otherwise a number. Raises: FleetDescriptionError."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.01 <= rate <= 100:
        raise FleetDescriptionError(f"rate: expected a number from 0.01 to 100, or `max`, got {text!r}")
    return rate


def _members(fleet: FleetDescription, plan: ReplayPlan) -> tuple[MemberDescription, ...]:
    """One per UAV of the bag, with the described one of the same name where there is one."""
    described = {name: fleet.member(n) for n, name in enumerate(fleet.agents)}
    members = []
    for name, parameters in plan.parameters.items():
        before = described.get(name, MemberDescription())
        # The bag determines cameras and poses; settings of the described UAV override them.
        members.append(
            dataclasses.replace(before, name=name, parameters={**parameters, **dict(before.parameters)})
        )
    return tuple(members)

"""Checks of a fleet before its first process starts."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.replay_plan import ReplayPlan, check_part, check_types, replay_plan
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.errors import require_ros
from rsdfm_ros.fleet.companions import rviz_program
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.options import FleetOptions
from rsdfm_ros.fleet.description.parts import REPLAY, ReplayDescription
from rsdfm_ros.fleet.model_facts import model_facts
from rsdfm_ros.fleet.paths import RANDOM, model_path
from rsdfm_ros.fleet.specification import node_specifications


def check_fleet(fleet: FleetDescription, options: FleetOptions | None = None) -> None:
    """Raise RsdfmError unless ROS, model, parameter files and the programs that `options` ask for are installed."""
    require_ros("a fleet")
    model_facts(fleet.model)
    if not fleet.model.startswith(RANDOM) and not any(Path(model_path(fleet.model)).glob("*.safetensors")):
        raise FleetDescriptionError(f"model {fleet.model!r}: its folder has a manifest but no weights")
    _, _, seed = fleet.model.removeprefix(RANDOM).partition(":")
    if fleet.model.startswith(RANDOM) and seed and not seed.isdecimal():
        raise FleetDescriptionError(f"model {fleet.model!r}: expected a number as seed, got {seed!r}")
    node_specifications(fleet)
    if options is not None and options.rviz:
        rviz_program()


def check_apart(fleet: FleetDescription, out: Path) -> None:
    """Raise FleetDescriptionError if the bag that is played lies in the folder that the run writes to."""
    if fleet.world.kind == REPLAY and out.resolve() in (
        bag := Path(fleet.replay.bag).resolve(),
        *bag.parents,
    ):
        raise FleetDescriptionError(
            f"the bag {fleet.replay.bag} lies in {out}, where the run would write: choose another folder with `out`"
        )


def check_replay(fleet: FleetDescription) -> None:
    """Raise RsdfmError if the described world is a bag that cannot be played to the described UAVs."""
    if fleet.world.kind != REPLAY:
        return
    plan, _ = checked_plan(fleet.replay)
    unknown = sorted(set(fleet.agents) - set(plan.uavs))
    if unknown:
        raise FleetDescriptionError(
            f"replay.bag {fleet.replay.bag} has no {', '.join(unknown)}: it has {', '.join(plan.uavs)}"
        )


def checked_plan(replay: ReplayDescription) -> tuple[ReplayPlan, list[str]]:
    """The plan for a bag of which the chosen part can be played, and sentences about damage.

    Raises: BagError, TopicMapError.
    """
    with open_bag(replay.bag) as bag:
        plan = replay_plan(bag, load_map(replay.topic_map) if replay.topic_map else default_map())
        check_types(bag, plan)
        check_part(bag, plan, replay.start_s, replay.duration_s)
        return plan, [*bag.damage, *plan.notes]

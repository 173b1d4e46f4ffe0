"""`rsdfm bag export`: a scene of a data set or a simulated mission as a bag, or a bag with truth as a data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.words import counted

FUTURE_FRAMES = 4
"""Frames of truth beyond the last pictures, so that the last predictions can be judged."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm bag export`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="data set in the nuScenes schema, to a bag")
    source.add_argument("--seed", type=int, help="seed of a mission that is simulated now, to a bag")
    source.add_argument("--bag", type=Path, help="bag with ground truth, to a data set")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="what is made; must not exist",
    )
    parser.add_argument(
        "--scene", default="", metavar="NAME", help="scene of --data (default: its first), or to be made"
    )
    parser.add_argument("--uavs", type=int, default=4, help="UAVs of --seed (default %(default)s)")
    parser.add_argument("--frames", type=int, help="frames at 2 Hz (default: 40, or all)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="format of the bag")
    parser.add_argument("--map", type=Path, metavar="YAML", help="topic map of --bag")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm bag export`."""
    if args.out.exists():
        raise RsdfmError(f"{args.out} exists already: choose another folder or remove it")
    if args.frames is not None and args.frames < 1:
        raise RsdfmError(f"--frames {args.frames}: expected at least 1")
    if args.bag is not None:
        return _to_data_set(args)
    return _to_bag(args)


def _to_bag(args: argparse.Namespace) -> int:
    from rsdfm_ros.data.bags.frames import write_frames
    from rsdfm_ros.data.bags.writer import BagWriter

    if args.data is not None:
        agents, total, frames = _of_data_set(args.data, args.scene, args.frames)
    else:
        agents, total, frames = _simulated(args.seed, args.uavs, args.frames or 40)
    shown = track(frames, "frames", total=total, console=Console(stderr=True), transient=True)
    with BagWriter(args.out, storage=args.storage) as writer:
        try:
            number = write_frames(writer, shown, agents)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the bag in {args.out} holds what was written so far") from None
    print(
        f"{counted(number, 'frame')} of {counted(len(agents), 'UAV')}, {writer.bytes / 1e6:.1f} MB, in {args.out}",
        file=sys.stderr,
    )
    return 0


def _of_data_set(
    folder: Path, name: str, frames: int | None
) -> tuple[tuple[str, ...], int, Iterator[WorldFrame]]:
    from rsdfm_ros.data.nuscenes import open_dataset

    dataset = open_dataset(folder)
    names = [s.name for s in dataset.scenes]
    if name and name not in names:
        raise RsdfmError(f"{folder} has no scene {name!r}: it has {', '.join(names[:8])}")
    place = names.index(name) if name else 0
    info = dataset.scenes[place]
    total = min(frames or info.frames, info.frames)
    return info.agents, total, (dataset.load(place, k) for k in range(total))


def _simulated(seed: int, uavs: int, frames: int) -> tuple[tuple[str, ...], int, Iterator[WorldFrame]]:
    from rsdfm_ros.sim.config import SimConfig
    from rsdfm_ros.sim.world import MAX_UAVS, World

    most = SimConfig().max_frames
    if not 1 <= uavs <= MAX_UAVS or frames + FUTURE_FRAMES > most or not 0 <= seed < 2**31:
        raise RsdfmError(
            f"expected --seed from 0, --uavs 1 to {MAX_UAVS} and --frames 1 to {most - FUTURE_FRAMES}, "
            f"got {seed}, {uavs} and {frames}"
        )

    def fly() -> Iterator[WorldFrame]:
        with World(seed, uavs) as world:
            for k in range(frames):
                yield world.frame(k)
            for k in range(frames, frames + FUTURE_FRAMES):
                yield WorldFrame(k, round(k * 1e9 / world.config.frame_rate_hz), (), world.objects(k))

    return tuple(f"uav{n + 1}" for n in range(uavs)), frames + FUTURE_FRAMES, fly()


def _to_data_set(args: argparse.Namespace) -> int:
    from itertools import islice

    from rsdfm_ros.data.bags.bag import open_bag
    from rsdfm_ros.data.bags.frames import read_frames
    from rsdfm_ros.data.bags.map_file import load_map
    from rsdfm_ros.data.bags.topic_map import default_map
    from rsdfm_ros.data.nuscenes import SceneWriter, merge
    from rsdfm_ros.evaluation.task_messages import truth_from_message

    skipped: list[str] = []
    topic_map = default_map() if args.map is None else load_map(args.map)
    name = args.scene or args.bag.resolve().name
    with open_bag(args.bag) as bag:
        writer = SceneWriter(args.out, name)
        number = 0
        for frame in islice(read_frames(bag, topic_map, truth_from_message, skipped.append), args.frames):
            writer.add(frame)
            number += 1
        damage = list(bag.damage)
    if not number:
        why = skipped[0] if skipped else "the map finds no pictures"
        raise BagError(
            args.bag, f"has no frame with pictures of all UAVs and truth of the same stamp ({why})"
        )
    writer.finish()
    merge(args.out)
    for sentence in (*damage, *sorted(set(skipped))[:5]):
        print(f"left out: {sentence}", file=sys.stderr)
    print(
        f"{counted(number, 'frame')} of {counted(len(writer.agents), 'UAV')} in {args.out}", file=sys.stderr
    )
    return 0

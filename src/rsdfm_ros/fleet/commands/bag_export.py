"""`rsdfm bag export`: a scene of a data set or a simulated mission as a bag, or a bag with truth as a data set."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.writer import STORAGES
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import check_output_folder, output_folder
from rsdfm_ros.sim.config import DEFAULT_FRAMES, DEFAULT_UAVS
from rsdfm_ros.words import counted

SERVES = {
    "data": ("scene", "frames", "storage"),
    "seed": ("uavs", "frames", "storage"),
    "bag": ("scene", "frames", "map"),
}
"""Source → the options that are for it."""


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
        help="folder of what is made",
    )
    parser.add_argument("--force", action="store_true", help="replace a bag or data set that is in --out")
    parser.add_argument(
        "--scene", metavar="NAME", help="scene of --data (default: its first), or to be made of --bag"
    )
    parser.add_argument("--uavs", type=int, help=f"UAVs of --seed (default: {DEFAULT_UAVS})")
    parser.add_argument("--frames", type=int, help=f"frames at 2 Hz (default: {DEFAULT_FRAMES}, or all)")
    parser.add_argument("--storage", choices=STORAGES, help=f"format of the bag (default: {STORAGES[0]})")
    parser.add_argument("--map", type=Path, metavar="YAML", help="topic map of --bag")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm bag export`."""
    source = next(name for name in SERVES if getattr(args, name) is not None)
    for option in {o for options in SERVES.values() for o in options} - set(SERVES[source]):
        if getattr(args, option) is not None:
            raise RsdfmError(f"--{option} is not for --{source}, which takes --{', --'.join(SERVES[source])}")
    if args.frames is not None and args.frames < 1:
        raise RsdfmError(f"--frames {args.frames}: expected at least 1")
    check_output_folder("--out", args.out)
    return _to_data_set(args) if source == "bag" else _to_bag(args)


def _to_bag(args: argparse.Namespace) -> int:
    from rsdfm_ros.data.bags.frames import write_frames
    from rsdfm_ros.data.bags.writer import METADATA, BagWriter, owned

    truth = True
    if args.data is not None:
        agents, total, frames, truth = _of_data_set(args.data, args.scene, args.frames)
    else:
        agents, total, frames = _simulated(
            args.seed, DEFAULT_UAVS if args.uavs is None else args.uavs, args.frames or DEFAULT_FRAMES
        )
    console = Console(stderr=True)
    shown = track(
        frames, "frames", total=total, console=console, transient=True, disable=not console.is_terminal
    )
    with output_folder(args.out, marker=METADATA, owned=owned(args.out), force=args.force) as work:
        writer, number, whole = BagWriter(work, storage=args.storage or "mcap"), 0, False
        try:
            with writer:
                number = write_frames(writer, shown, agents, truth=truth)
            whole = True
        except KeyboardInterrupt:
            whole = bool(writer.messages)
            (work / METADATA).unlink(
                missing_ok=True
            )  # readable without it, and it would block the next export
            kept = f"the bag in {work} holds what was written so far" if whole else "nothing was written"
            raise KeyboardInterrupt(kept) from None
        finally:
            if not whole:  # a partial bag would not show what it lacks
                _remove_bag(work, owned(work))
    print(
        f"{counted(number, 'frame')} of {counted(len(agents), 'UAV')}, {writer.bytes / 1e6:.1f} MB, in {args.out}",
        file=sys.stderr,
    )
    return 0


def _remove_bag(folder: Path, patterns: Sequence[str]) -> None:
    for path in {p for pattern in patterns for p in folder.glob(pattern)}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _of_data_set(
    folder: Path, name: str | None, frames: int | None
) -> tuple[tuple[str, ...], int, Iterator[WorldFrame], bool]:
    from rsdfm_ros.data.opening import open_dataset

    dataset = open_dataset(folder)
    names = [s.name for s in dataset.scenes]
    if name and name not in names:
        raise RsdfmError(f"{folder} has no scene {name!r}: it has {', '.join(names[:8])}")
    place = names.index(name) if name else 0
    info = dataset.scenes[place]
    total = min(frames or info.frames, info.frames)
    return info.agents, total, (dataset.load(place, k) for k in range(total)), info.truth


def _simulated(seed: int, uavs: int, frames: int) -> tuple[tuple[str, ...], int, Iterator[WorldFrame]]:
    from rsdfm_ros.sim.config import MAX_FRAMES, MAX_UAVS, SEED_LIMIT
    from rsdfm_ros.sim.world import World

    if not 1 <= uavs <= MAX_UAVS or frames + FUTURE_STEPS > MAX_FRAMES or not 0 <= seed < SEED_LIMIT:
        raise RsdfmError(
            f"expected --seed from 0, --uavs 1 to {MAX_UAVS} and --frames 1 to {MAX_FRAMES - FUTURE_STEPS}, "
            f"got {seed}, {uavs} and {frames}"
        )

    def fly() -> Iterator[WorldFrame]:
        with World(seed, uavs) as world:
            for k in range(frames):
                yield world.frame(k)
            for k in range(frames, frames + FUTURE_STEPS):
                yield WorldFrame(k, round(k * 1e9 / world.config.frame_rate_hz), (), world.objects(k))

    return tuple(f"uav{n + 1}" for n in range(uavs)), frames + FUTURE_STEPS, fly()


def _to_data_set(args: argparse.Namespace) -> int:
    from itertools import islice

    from rsdfm_ros.data.bags.bag import open_bag
    from rsdfm_ros.data.bags.frames import read_frames
    from rsdfm_ros.data.bags.map_file import load_map
    from rsdfm_ros.data.bags.topic_map import default_map
    from rsdfm_ros.data.messages.tasks import truth_from_message
    from rsdfm_ros.data.nuscenes import SceneWriter, merge
    from rsdfm_ros.data.nuscenes.schema import SIDE_FILE, VERSION
    from rsdfm_ros.sim.dataset.add_layout import OWNED

    topic_map = default_map() if args.map is None else load_map(args.map)
    name = args.bag.resolve().name if args.scene is None else args.scene
    if not name or name.startswith(".") or "/" in name:
        raise RsdfmError(f"--scene {name}: expected a name without slashes that does not begin with a dot")
    skipped: list[str] = []
    interrupted, number = False, 0
    with open_bag(args.bag) as bag:
        marker = f"{VERSION}/{SIDE_FILE}"
        with output_folder(args.out, marker=marker, owned=OWNED, force=args.force) as work:
            writer = SceneWriter(work, name)
            try:
                for frame in islice(
                    read_frames(bag, topic_map, truth_from_message, skipped.append), args.frames
                ):
                    writer.add(frame)
                    number += 1
            except KeyboardInterrupt:
                interrupted = True
            if number:
                writer.finish()
                merge(work)
            elif not interrupted:
                why = skipped[0] if skipped else "the map finds no images"
                raise BagError(
                    args.bag, f"has no frame with images of all UAVs and truth of the same stamp ({why})"
                )
            if interrupted:
                kept = (
                    f"the data set in {work} holds the first {counted(number, 'frame')}; --force begins anew"
                )
                raise KeyboardInterrupt(kept if number else "nothing was written")
        damage = list(bag.damage)
    for sentence in (*damage, *sorted(set(skipped))[:5]):
        print(f"left out: {sentence}", file=sys.stderr)
    print(
        f"{counted(number, 'frame')} of {counted(len(writer.agents), 'UAV')} in {args.out}", file=sys.stderr
    )
    return 0

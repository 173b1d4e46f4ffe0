"""Write the world of a seed for Gazebo: SDF world, UAV model, meshes, textures, bridge configuration."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import GAZEBO, WorldDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict, load_fleet
from rsdfm_ros.fleet.gazebo import gazebo_arguments, write_gazebo
from rsdfm_ros.outputs import output_folder
from rsdfm_ros.sim.gazebo.versions import GAZEBOS, HARMONIC
from rsdfm_ros.sim.gazebo.write import BRIDGE_FILE, OWNED, WORLD_FILE
from rsdfm_ros.sim.ground import GROUND_PX
from rsdfm_ros.words import counted

OUT = Path("out/gazebo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--description", help="fleet description to take everything from that is not given here"
    )
    parser.add_argument(
        "--seed", type=int, help=f"seed of layout, traffic and flights (default: {WorldDescription.seed})"
    )
    parser.add_argument("--uavs", type=int, help=f"number of UAVs, 1 to 8 (default: {FleetDescription.uavs})")
    parser.add_argument(
        "--frames", type=int, help=f"frames of the mission, at 2 Hz (default: {WorldDescription.frames})"
    )
    parser.add_argument(
        "--start-s",
        type=float,
        help=f"simulation time of the first frame, s, a multiple of 0.5 (default: {WorldDescription.start_s:g})",
    )
    parser.add_argument(
        "--ground-px", type=int, default=GROUND_PX, help="pixels per side of the ground's image"
    )
    parser.add_argument(
        "--gazebo",
        choices=tuple(GAZEBOS),
        default=HARMONIC.name,
        help="version of Gazebo whose plugin and message names are written (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for the files (default: {OUT}, where an earlier world is kept beside)",
    )
    parser.add_argument("--force", action="store_true", help="replace the world that is in --out")
    parser.add_argument(
        "--json", action="store_true", help="print the names of the files as JSON, and nothing else"
    )


def run(args: argparse.Namespace) -> int:
    """Write it; the exit status."""
    given = {
        "world.seed": args.seed,
        "uavs": args.uavs,
        "world.frames": args.frames,
        "world.start_s": args.start_s,
    }
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    values["world.kind"] = GAZEBO
    if args.description:
        fleet = load_fleet(args.description, values)
    else:
        groups: dict[str, Any] = {"world": {}}
        for name, value in values.items():
            group, dot, last = name.partition(".")
            if dot:
                groups[group][last] = value
            else:
                groups[name] = value
        fleet = fleet_from_dict(groups)
    if not 64 <= args.ground_px <= GROUND_PX:
        raise FleetDescriptionError(f"--ground-px: expected 64 to {GROUND_PX}, got {args.ground_px}")
    gazebo = GAZEBOS[args.gazebo]
    folder = args.out or OUT
    unnamed = args.out is None and not args.force
    with output_folder(
        folder, marker=WORLD_FILE, owned=OWNED, force=args.force, keep_earlier=unnamed
    ) as place:
        files = [folder / p.relative_to(place) for p in write_gazebo(fleet, place, args.ground_px, gazebo)]
    if args.json:
        print(
            json.dumps(
                {
                    "folder": str(folder),
                    "gazebo": gazebo.name,
                    "files": [str(p.relative_to(folder)) for p in files],
                }
            )
        )
        return 0
    size = sum(p.stat().st_size for p in files) / 1e6
    print(
        f"{counted(len(files), 'file')}, {size:.1f} MB in {folder}: seed {fleet.world.seed}, "
        f"{counted(fleet.uavs, 'UAV')}"
    )
    print("Start Gazebo, the bridge, and the fleet together:")
    chosen = "" if gazebo is HARMONIC else f" gazebo:={gazebo.name}"
    print(f"  ros2 launch rsdfm_ros gazebo.launch.py seed:={fleet.world.seed} uavs:={fleet.uavs}{chosen}")
    print("or by hand:")
    print(f"  {' '.join([*gazebo.command, *gazebo_arguments(folder, headless=False)])}")
    print(
        "  ros2 run ros_gz_bridge parameter_bridge --ros-args -p use_sim_time:=true "
        f"-p config_file:={(folder / BRIDGE_FILE).absolute()}"
    )
    return 0

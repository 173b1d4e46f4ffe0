"""Two examples of every command, and how long it takes: the end of its `--help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rsdfm_ros.words import program

Example = tuple[str, str]
"""Arguments after the program's name, and what they do."""


@dataclass(frozen=True)
class Usage:
    """first, second: examples · takes: duration on an ordinary computer, and what it depends on."""

    first: Example
    second: Example
    takes: str


USAGES: Mapping[str, Usage] = MappingProxyType(
    {
        "demo": Usage(
            ("demo", "four UAVs over the standard place, into out/demo/"),
            (
                "demo --uavs 2 --seed 9004 --style suburb --weather overcast --frames 20",
                "a shorter flight elsewhere",
            ),
            "one to some minutes, in proportion to --frames and --uavs",
        ),
        "fleet": Usage(
            ("fleet config/fleet/demo.yaml --uavs 2 --frames 20", "a simulated mission"),
            (
                "fleet my_fleet.yaml --params-file tuning.yaml --record --out out/flight",
                "real UAVs, recorded",
            ),
            "a simulated mission some minutes; real UAVs until Ctrl-C",
        ),
        "replay": Usage(
            ("replay out/demo/bag --out out/again", "as fast as the UAVs answer"),
            ("replay /data/flight --map config/bags/foreign.yaml --rate 1", "a foreign bag at its own speed"),
            "the recorded time divided by --rate; with the rate `max` as long as the UAVs need",
        ),
        "bag": Usage(
            ("bag info out/demo/bag", "what is in a bag"),
            (
                "bag evaluate out/demo/bag --json out/scores.json",
                "compute a recorded flight anew and score it",
            ),
            "`info` seconds, `evaluate` and `export` minutes, `record` until Ctrl-C",
        ),
        "bag info": Usage(
            ("bag info out/demo/bag", "topics, rates, gaps, damage"),
            (
                "bag info /data/flight --map config/bags/foreign.yaml --json",
                "of a foreign bag, for a program",
            ),
            "seconds; the whole bag is read",
        ),
        "bag evaluate": Usage(
            ("bag evaluate out/demo/bag", "with the shipped weights"),
            (
                "bag evaluate out/demo/bag --features recorded --json out/scores.json",
                "with the packets of the flight",
            ),
            "some minutes, in proportion to the images in the bag",
        ),
        "bag record": Usage(
            ("bag record --out out/flight", "every topic of the fleet that flies here"),
            (
                "bag record --out out/minute --duration 60 --exclude '.*/image_raw'",
                "one minute without images",
            ),
            "until Ctrl-C, or --duration",
        ),
        "bag export": Usage(
            ("bag export --seed 9000 --uavs 2 --frames 20 --out out/made", "a simulated flight as a bag"),
            ("bag export --data out/data/set --scene scene-0000 --out out/scene", "a scene of a data set"),
            "seconds to some minutes, in proportion to the frames",
        ),
        "calibrate": Usage(
            ("calibrate time out/flight/bag", "by how much stamps of images are off"),
            ("calibrate mount out/flight/bag --json", "angles of mounting, for a program"),
            "`time` a fraction of the recorded time, `mount` as long as the model needs",
        ),
        "calibrate time": Usage(
            ("calibrate time out/flight/bag", "of every camera"),
            ("calibrate time /data/flight --map config/bags/foreign.yaml --json", "of a foreign bag"),
            "a fraction of the recorded time",
        ),
        "calibrate mount": Usage(
            ("calibrate mount out/flight/bag", "of every UAV"),
            ("calibrate mount /data/flight --map config/bags/foreign.yaml", "of a foreign bag"),
            "as long as the model needs for all images: minutes",
        ),
        "wire": Usage(
            ("wire inspect out/demo/bag --packets 3", "the first packets of a bag"),
            ("wire inspect packet.bin --json", "one packet of a file, for a program"),
            "seconds",
        ),
        "wire inspect": Usage(
            (
                "wire inspect out/demo/bag --topic /uav1/bev/features --packets 3",
                "the first packets of a UAV",
            ),
            ("wire inspect packet.bin --json", "one packet of a file, for a program"),
            "seconds",
        ),
        "simulate": Usage(
            ("simulate --out out/data/set --scenes 4 --seed 0", "four missions for training"),
            (
                "simulate --out out/data/high --altitude 60:100 --pitch 30:70 --fov 50:100 --motion lively",
                "other cameras and flights",
            ),
            "minutes to hours, in proportion to --scenes, --uavs and --frames; a run that was stopped goes on",
        ),
        "gazebo": Usage(
            ("gazebo --seed 9001 --uavs 2", "the world of a seed, into out/gazebo/"),
            ("gazebo --gazebo harmonic --out out/world --force", "for one version of Gazebo"),
            "some seconds",
        ),
        "data": Usage(
            ("data check out/data/set", "what is missing in a data set"),
            ("data describe --preset nuscenes /data/nuscenes", "the conventions of its tables"),
            "seconds; `check --images` and `layout` minutes",
        ),
        "data check": Usage(
            ("data check out/data/set", "tables, poses, files"),
            ("data check /data/uav3d --images", "and every image"),
            "seconds; with --images minutes, in proportion to the images",
        ),
        "data describe": Usage(
            ("data describe --preset uav3d /data/uav3d", "write the conventions beside the tables"),
            ("data describe --preset nuscenes", "print them"),
            "under a second",
        ),
        "data convert": Usage(
            (
                "data convert video --uav uav1 uav1.csv --rate 10 --out out/data/video",
                "images with a table of poses",
            ),
            ("data convert airv2x /data/airv2x --unpickle --out out/data/airv2x", "AirV2X as published"),
            "as long as reading all images",
        ),
        "data convert video": Usage(
            (
                "data convert video --uav uav1 uav1.csv --uav uav2 uav2.csv --rate 10 --intrinsics 900 900 640 360 "
                "--out out/data/video",
                "two UAVs, 10 images per second",
            ),
            (
                "data convert video --uav images poses.json --axes forward --out out/data/video",
                "poses of a body that looks along x",
            ),
            "as long as reading all images",
        ),
        "data convert airv2x": Usage(
            ("data convert airv2x /data/airv2x --unpickle --out out/data/airv2x", "the UAVs"),
            (
                "data convert airv2x /data/airv2x --unpickle --ground --out out/data/airv2x",
                "cars and roadside units, too",
            ),
            "as long as reading all images",
        ),
        "data layout": Usage(
            ("data layout out/data/set", "add masks of roads and buildings"),
            ("data layout out/data/set --out out/data/with_layout", "to a copy"),
            "seconds to minutes, in proportion to the scenes",
        ),
        "train": Usage(
            (
                "train --data out/data/set --config config/model/nano.yaml --out out/nano --minutes 75",
                "a new model",
            ),
            (
                "train --data out/data/set --init models/nano --out out/tuned --steps 2000",
                "from the shipped weights",
            ),
            "hours, as far as --minutes or --steps allow; a run that was stopped goes on",
        ),
        "evaluate": Usage(
            ("evaluate --scenes 1 --frames 12", "methods side by side on one scene"),
            (
                "evaluate --methods single,rsdfm --disturb loss=0.2,latency_ms=200 --json out/lossy.json",
                "disturbed",
            ),
            "minutes, in proportion to --scenes, --frames and the methods; scenes are rendered once and kept",
        ),
        "bench": Usage(
            ("bench", "the shipped model on this computer"),
            ("bench --quick --json", "fewer repetitions, for a program"),
            "two minutes, with --quick less",
        ),
        "report": Usage(
            ("report out/demo", "report.html and bev.mp4 of a run"),
            ("report out/demo --no-video --out out/page", "the page alone, elsewhere"),
            "some seconds; with the video up to a minute or two",
        ),
        "view": Usage(
            ("view", "the fleet that flies here"),
            ("view out/demo/bag --save out/demo.rrd", "a recording of a bag"),
            "until its window is closed; a recording as long as the bag is read",
        ),
        "security": Usage(
            ("security init config/fleet/demo.yaml", "access rules for SROS 2, to be signed"),
            (
                "security init my_fleet.yaml --domain 7 --out keys --valid-until 2030-12-31",
                "of a fleet of your own",
            ),
            "under a second",
        ),
        "security init": Usage(
            ("security init config/fleet/demo.yaml", "governance and permissions documents"),
            (
                "security init my_fleet.yaml --domain 7 --out keys --valid-until 2030-12-31",
                "of a fleet of your own",
            ),
            "under a second",
        ),
        "doctor": Usage(
            ("doctor", "what is missing, and how to install it"),
            ("doctor --live 10", "what the nodes of a running fleet warn of"),
            "some seconds; with --live as many seconds as it says, and some more",
        ),
    }
)
"""Command, with its subcommand → its usage."""


def add_examples(
    parser: argparse.ArgumentParser, command: str, formatter: type[argparse.HelpFormatter]
) -> None:
    """End the help of a command and of its subcommands with their examples."""
    for name, one in (("", parser), *subcommands(parser)):
        usage = USAGES.get(f"{command} {name}".strip())
        one.formatter_class = formatter
        if usage is not None:
            one.epilog = epilog(usage)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parsers of the subcommands of a command and of theirs, by their words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                yield name, one
                yield from ((f"{name} {inner}", part) for inner, part in subcommands(one))


def epilog(usage: Usage) -> str:
    """Examples and duration as lines."""
    lines = ["examples:"]
    for words, meaning in (usage.first, usage.second):
        lines += [f"  {program()} {words}", f"      {meaning}"]
    return "\n".join([*lines, f"takes: {usage.takes}"])

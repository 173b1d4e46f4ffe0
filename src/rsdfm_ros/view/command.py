"""Look at a fleet in a browser: live, from a bag, or from the folder of a run; or with rerun, RViz, Foxglove.

Cameras with projected boxes, map layers (truth, alone, with peers), who contributes which cell, trajectories, bytes and
latency over time: as a page that is served here (view/web/), or in rerun's viewer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import MAX_RECORDED_UAVS, TopicMap, default_map
from rsdfm_ros.domains import VARIABLE, joined_domain
from rsdfm_ros.errors import RsdfmError, require_ros
from rsdfm_ros.outputs import check_new_file, replacing, write_atomically
from rsdfm_ros.view.foxglove import foxglove_layout
from rsdfm_ros.view.rviz import rviz_config
from rsdfm_ros.view.viewer import open_output, require_rerun
from rsdfm_ros.view.web.live import web_environment, web_program
from rsdfm_ros.view.web.options import SAYS, add_web_arguments, address_of

SHOWN_PROBLEMS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        help="a bag, or the folder of a run such as out/demo; without one: the fleet that is running now",
    )
    parser.add_argument(
        "--map", type=Path, metavar="YAML", help="topic map for other topic names (docs/bags.md)"
    )
    where = parser.add_mutually_exclusive_group()
    without = "show it in a window of rerun's viewer instead of a browser"
    add_web_arguments(where, without, optional=True)
    where.add_argument(
        "--save", type=Path, metavar="FILE", help="write a recording for rerun (.rrd) instead of showing it"
    )
    where.add_argument(
        "--connect", metavar="URL", help="show it in a rerun viewer that runs already, also elsewhere"
    )
    layouts = parser.add_argument_group("layouts of other viewers")
    layouts.add_argument("--rviz", type=Path, metavar="FILE", help="write an RViz 2 configuration and end")
    layouts.add_argument("--foxglove", type=Path, metavar="FILE", help="write a Foxglove layout and end")
    layouts.add_argument("--uavs", type=int, default=4, metavar="N", help="UAVs uav1 … uavN in a layout")
    parser.add_argument(
        "--force", action="store_true", help="replace the file of --save, --rviz or --foxglove if it is there"
    )


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status."""
    for option in ("save", "rviz", "foxglove"):
        if (path := getattr(args, option)) is not None:
            check_new_file(f"--{option}", path, force=args.force)
    if args.rviz is not None or args.foxglove is not None:
        return _write_layouts(args)
    if args.source is None and args.web and Path(args.web).exists():  # as in `rsdfm view --web out/demo`
        args.source, args.web = Path(args.web), ""
    paged = args.save is None and args.connect is None and not args.no_web
    if not paged:
        require_rerun()
    topic_map = default_map() if args.map is None else load_map(args.map)
    if args.source is None:
        return live_page(args) if paged else _live(args)
    if not args.source.exists():
        raise RsdfmError(
            f"{args.source} does not exist: give a bag or the folder of a run, or nothing for a live fleet"
        )
    from rsdfm_ros.view.sources import check

    check(args.source)
    if paged:
        return _page(args, topic_map)
    if args.save is None:
        where, problems, interrupted = _show(args, topic_map, None)
    else:
        with replacing(args.save) as beside:
            _, problems, interrupted = _show(args, topic_map, beside)
        where = f"recorded to {args.save}"
    if interrupted:
        raise KeyboardInterrupt(f"{args.save} holds what was read so far" if args.save else "")
    print(where)
    _say(problems)
    return 0


def _page(args: argparse.Namespace, topic_map: TopicMap) -> int:
    """Serve the page of a recorded mission until Ctrl-C."""
    from rsdfm_ros.view.web.serving import serve_recorded

    address = address_of(args)
    assert address is not None
    serve_recorded(args.source, topic_map, address, _say)
    return 0


def _say(problems: list[str]) -> None:
    console = Console(stderr=True)
    for sentence in problems[:SHOWN_PROBLEMS]:
        console.print(f"left out: {sentence}", style="yellow", highlight=False, markup=False)
    if len(problems) > SHOWN_PROBLEMS:
        console.print(f"… and {len(problems) - SHOWN_PROBLEMS} more kinds", style="yellow")


def _show(args: argparse.Namespace, topic_map: TopicMap, save: Path | None) -> tuple[str, list[str], bool]:
    """Show the source, in a recording if `save` names one: where, what was left out, whether Ctrl-C came."""
    from rsdfm_ros.view.scene import Scene
    from rsdfm_ros.view.sources import is_run, left_out, show_bag, show_run
    from rsdfm_ros.view.viewer import new_recording

    recording = new_recording(str(args.source))
    where = open_output(recording, save=save, connect=args.connect)
    scene, console = Scene(recording), Console(stderr=True)
    problems: list[str] = []
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"reading {args.source}", total=None)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if is_run(args.source):
                show_run(args.source, scene, advance)
            else:
                problems = left_out(show_bag(args.source, scene, topic_map, advance))
    except KeyboardInterrupt:
        return where, problems, True
    finally:
        recording.flush()
        if save is not None:
            recording.disconnect()
    return where, problems, False


def _write_layouts(args: argparse.Namespace) -> int:
    if not 1 <= args.uavs <= MAX_RECORDED_UAVS:
        raise RsdfmError(f"--uavs {args.uavs}: expected 1 to {MAX_RECORDED_UAVS}")
    agents = [f"uav{n + 1}" for n in range(args.uavs)]
    for path, make in ((args.rviz, rviz_config), (args.foxglove, foxglove_layout)):
        if path is None:
            continue
        write_atomically(path, make(agents))
        print(path)
    return 0


def _live(args: argparse.Namespace, replace: Callable[[str, list[str]], None] = os.execv) -> int:
    """Become the node that shows a live fleet in rerun: only nodes speak ROS."""
    if args.save is not None:
        args.save.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "save": "" if args.save is None else str(args.save.absolute()),
        "connect": args.connect or "",
        "topic_map": "" if args.map is None else str(args.map.absolute()),
    }
    command = [sys.executable, "-m", "rsdfm_ros.start", "view_node", "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, which ROS reads here
    return _become(command, replace)


def live_page(args: argparse.Namespace, replace: Callable[[str, list[str]], None] = os.execv) -> int:
    """Become the node that serves the page of a live fleet."""
    address = address_of(args)
    assert address is not None
    os.environ.update(web_environment(address))
    print(f"{SAYS.format(address.url)} (Ctrl-C ends it)")
    topic_map = "" if args.map is None else str(args.map.absolute())
    return _become(web_program(address, topic_map=topic_map), replace)


def _become(command: list[str], replace: Callable[[str, list[str]], None]) -> int:
    require_ros("the view of a live fleet")
    domain, sentence = joined_domain()
    if domain is not None:
        os.environ[VARIABLE] = str(domain)
        print(sentence, file=sys.stderr, flush=True)
    sys.stdout.flush()
    replace(command[0], command)
    return 0

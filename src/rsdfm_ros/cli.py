"""The command line: `rsdfm <command>`.

Every command lives in a module of its own with `add_arguments(parser)` and `run(args) -> exit status`; a module is
imported only when its command is chosen, so that `rsdfm --help` is immediate and works without torch or ROS.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType, MappingProxyType

from rsdfm_ros import __version__
from rsdfm_ros.errors import RsdfmError

#: Command → (module, one line of help), in the order of the help page. A command without its module is not offered.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("rsdfm_ros.fleet.demo", "fly four simulated UAVs over real DDS and write a report"),
        "fleet": ("rsdfm_ros.fleet.command", "run a fleet: one process per UAV, simulator, evaluator"),
        "replay": ("rsdfm_ros.fleet.replay_command", "play a recorded bag through the live nodes"),
        "bag": ("rsdfm_ros.fleet.bag_command", "look into, evaluate, record and make bags"),
        "simulate": ("rsdfm_ros.data.simulate", "make a data set of simulated missions (nuScenes schema)"),
        "gazebo": (
            "rsdfm_ros.fleet.gazebo_command",
            "write the same world for Gazebo: SDF, UAV model, bridge",
        ),
        "data": (
            "rsdfm_ros.data.command",
            "check a data set, describe how its tables are meant, add layouts",
        ),
        "train": ("rsdfm_ros.training.command", "train a model from a data set"),
        "evaluate": ("rsdfm_ros.evaluation.command", "measure methods on test scenes: accuracy and bytes"),
        "report": ("rsdfm_ros.evaluation.report_command", "make a page of pictures and tables from results"),
        "view": (
            "rsdfm_ros.view.command",
            "look at a live fleet, a bag or a run; layouts for RViz and Foxglove",
        ),
        "doctor": ("rsdfm_ros.doctor", "say what is there, what is missing, and the cure"),
    }
)

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default to an option's help unless the help says it or there is nothing to say."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if "default" in text or action.default in (None, False, "", []):
            return text
        return super()._get_help_string(action)


def available_commands(commands: Mapping[str, tuple[str, str]] = COMMANDS) -> dict[str, tuple[str, str]]:
    """The commands whose modules exist in this installation."""
    return {name: entry for name, entry in commands.items() if importlib.util.find_spec(entry[0])}


def build_parser(argv: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> argparse.ArgumentParser:
    """The parser; of the commands only the one that `argv` names gets its options, because that imports its module."""
    parser = argparse.ArgumentParser(
        prog="rsdfm",
        description="Collaborative perception of several UAVs: simulate, train, evaluate, fly.",
        epilog="`rsdfm COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"rsdfm_ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module_name, summary) in commands.items():
        sub = subparsers.add_parser(name, help=summary, description=summary, formatter_class=_HelpFormatter)
        if name == chosen:
            module = importlib.import_module(module_name)
            sub.description = (module.__doc__ or summary).strip().splitlines()[0]
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None, commands: Mapping[str, tuple[str, str]] = COMMANDS) -> int:
    """Run one command; returns the exit status: 0 fine, 2 an error that the user can act on, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)  # a polite end from outside saves what Ctrl-C saves
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # shells start background jobs with it ignored
    try:
        args = build_parser(argv, available_commands(commands)).parse_args(argv)
        return int(args.run(args))
    except RsdfmError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{': ' + str(interrupt) if str(interrupt) else ''}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())

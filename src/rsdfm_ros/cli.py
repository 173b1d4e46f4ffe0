"""The command line: `rsdfm <command>`.

Every command lives in a module of its own with `add_arguments(parser)` and `run(args) -> exit status`; a module is
imported only when its command is chosen, so that `rsdfm --help` is immediate and works without torch or ROS.

Exit status: 0 fine · 1 the command found problems (`doctor`, `data check`, `wire inspect`) · 2 an
error, in one sentence (`boundary.py`) · 130 interrupted · 141 the reader of the output has gone.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, MappingProxyType

from rsdfm_ros import __version__
from rsdfm_ros.boundary import EXIT_INTERRUPTED, explain, guarded
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.examples import add_examples

#: Command → (module, one line of help), in the order of the help page. A command without its module is not offered.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("rsdfm_ros.fleet.commands.demo", "fly four simulated UAVs over real DDS and write a report"),
        "fleet": ("rsdfm_ros.fleet.commands.fleet", "run a fleet: one process per UAV, simulator, evaluator"),
        "replay": ("rsdfm_ros.fleet.commands.replay", "play a recorded bag through the live nodes"),
        "bag": ("rsdfm_ros.fleet.commands.bag", "inspect, evaluate, record and export bags"),
        "wire": ("rsdfm_ros.fleet.commands.wire", "look into feature packets of files and bags"),
        "simulate": (
            "rsdfm_ros.sim.dataset.simulate_command",
            "make a data set of simulated missions (nuScenes schema)",
        ),
        "gazebo": (
            "rsdfm_ros.fleet.commands.gazebo",
            "write the same world for Gazebo: SDF, UAV model, bridge",
        ),
        "data": (
            "rsdfm_ros.data.command",
            "check a data set, describe the conventions of its tables, convert it, add layouts",
        ),
        "train": ("rsdfm_ros.training.command", "train a model from a data set"),
        "evaluate": (
            "rsdfm_ros.evaluation.commands.evaluate",
            "measure methods on test scenes: accuracy and bytes",
        ),
        "calibrate": (
            "rsdfm_ros.evaluation.calibration.command",
            "calibrate cameras from a recorded flight: time of images, angles of mounting",
        ),
        "bench": (
            "rsdfm_ros.fleet.commands.bench",
            "measure how fast the model is on this computer, in two minutes",
        ),
        "report": ("rsdfm_ros.view.report_command", "make a page of images and tables from results"),
        "view": (
            "rsdfm_ros.view.command",
            "view a live fleet, a bag or a run; layouts for RViz and Foxglove",
        ),
        "security": ("rsdfm_ros.fleet.commands.security", "write access rules of a fleet for SROS 2"),
        "doctor": ("rsdfm_ros.doctor.command", "check the installation, or with --live a running fleet"),
    }
)

#: Command → subcommand → (module, one line of help): what another package adds to the subcommands of a command.
SUBCOMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "data": {
            "layout": (
                "rsdfm_ros.sim.dataset.layout_command",
                "add masks of roads and buildings to a simulated data set",
            )
        }
    }
)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default to an option's help unless the help says it or there is nothing to say."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if "default" in text or action.default in (None, False, "", []):
            return text
        return super()._get_help_string(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Keep the lines of texts that have some, such as examples."""
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "\n".join(f"{indent}{line}" for line in text.splitlines())


def available_commands(commands: Mapping[str, tuple[str, str]] = COMMANDS) -> dict[str, tuple[str, str]]:
    """The commands whose modules exist in this installation."""
    return {name: entry for name, entry in commands.items() if importlib.util.find_spec(entry[0])}


def build_parser(argv: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> argparse.ArgumentParser:
    """The parser; only the command that `argv` names gets its options, because that imports its module."""
    parser = argparse.ArgumentParser(
        prog="rsdfm",
        description="Collaborative perception of several UAVs: simulate, train, evaluate, fly.",
        epilog="`rsdfm COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"rsdfm_ros {__version__}")
    # The underscore: an argument of a command may have any name, and all names share one namespace.
    subparsers = parser.add_subparsers(dest="_command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module_name, summary) in commands.items():
        sub = subparsers.add_parser(name, help=summary, description=summary, formatter_class=_HelpFormatter)
        if name == chosen:
            module = importlib.import_module(module_name)
            sub.description = (module.__doc__ or summary).strip().splitlines()[0]
            group = module.add_arguments(sub)
            for part, (part_module, part_summary) in SUBCOMMANDS.get(name, {}).items():
                added = importlib.import_module(part_module)
                part_parser = group.add_parser(part, help=part_summary)
                added.add_arguments(part_parser)
                part_parser.set_defaults(_run=added.run)
            add_examples(sub, name, _HelpFormatter)
    return parser


def main(argv: Sequence[str] | None = None, commands: Mapping[str, tuple[str, str]] = COMMANDS) -> int:
    """Run one command; returns the exit status. Without `argv`: that of the command line, as a program of its own."""
    words = sys.argv[1:] if argv is None else argv
    statuses: list[int] = []
    signals: list[int] = []
    if argv is None:  # registered first, so that it runs last
        atexit.register(_end, statuses)
    _on_signals(_leave)

    def interrupt(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    def work() -> int:
        there = available_commands(commands)
        args = build_parser(words, there).parse_args(words)
        module = importlib.import_module(there[vars(args)["_command"]][0])
        run = getattr(args, "_run", module.run)
        _on_signals(interrupt)
        try:
            return int(run(args))
        except (RsdfmError, OSError):
            raise
        except Exception as error:
            if signals:  # compiled code may turn it into an error of its own, such as ctypes.ArgumentError
                raise KeyboardInterrupt from error
            raise

    status = guarded(work)
    if argv is None:
        statuses.append(status)
        _on_signals(lambda number, frame: os._exit(status))
    return status


def _end(statuses: Sequence[int]) -> None:
    """End with the status of the command, without the rest of Python's own end.

    That would give signals their default effect back, and would end the process by SIGINT if Ctrl-C had come inside of
    `exec` of a text, as in the making of a named tuple, although it was taken as an interruption.
    """
    for status in statuses:
        os._exit(status)


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle Ctrl-C, which shells let their background jobs ignore, and SIGTERM: both save the same."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: modules are being imported, not all of which tolerate an exception, and nothing is open yet."""
    explain(KeyboardInterrupt())
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

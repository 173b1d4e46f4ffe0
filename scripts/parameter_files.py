"""Write config/nodes/<executable>.yaml from the settings of the nodes: `make docs`.

One file per executable, with every parameter, its default, and a comment on meaning, unit and limits.
"""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml
from node_docs import about_module, executables

from rsdfm_ros.nodes.core.parameters import changeable
from rsdfm_ros.nodes.core.usage import node_classes, settings_of
from rsdfm_ros.settings import allowed

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "config" / "nodes"
WIDTH = 110
NAMESPACED = ("encoder_node", "collaboration_node", "uav_node")
"""Executables of a UAV, beside the heads."""


def file_of(executable: str) -> str:
    """The text of an executable's file."""
    in_namespace = executable in NAMESPACED or executable.endswith("_head_node")
    namespace = "-r __ns:=/uav1 " if in_namespace else ""
    classes = node_classes(executable)
    about = about_module(executable).rstrip(".")
    head = (
        f"Parameters of {executable} with their defaults. {about}. Made from the code by "
        "`make docs`: copy the file and keep only the lines that you change, because a parameter file wins over a "
        "fleet description."
    )
    lines = [*_comment(head, 0)]
    lines.append(f"#   ros2 run rsdfm_ros {executable} --ros-args {namespace}--params-file {executable}.yaml")
    for cls in classes:
        settings = settings_of(cls)
        if settings is not None:
            lines += [f"/**/{cls.__module__.rpartition('.')[2]}:", "  ros__parameters:"]
            for field in dataclasses.fields(settings):
                lines += _entry(field)
    return "\n".join(lines) + "\n"


def _entry(field: dataclasses.Field[Any]) -> list[str]:
    """Comment and line of a parameter. An empty list has no element type in a parameter file: its line is a comment."""
    limits = [allowed(field)] if allowed(field) else []
    if field.metadata["length"]:
        limits.append(" or ".join(str(n) for n in field.metadata["length"]) + " elements")
    change = changeable(field)
    if change != "while unconfigured":
        limits.append("only by a new start" if change == "never" else f"may change {change}")
    text = field.metadata["text"] + (f" ({'; '.join(limits)})" if limits else "")
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).splitlines()[0]
    return [*_comment(text, 4), f"    {'# ' if value == [] else ''}{field.name}: {shown}"]


def _comment(text: str, indent: int) -> list[str]:
    mark = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=mark)


def files() -> dict[str, str]:
    """File name → text, of all executables."""
    return {f"{executable}.yaml": file_of(executable) for executable in executables()}


def main() -> int:
    """Write the files and remove those of executables that are gone."""
    made = files()
    TARGET.mkdir(exist_ok=True)
    for path in TARGET.glob("*.yaml"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (TARGET / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

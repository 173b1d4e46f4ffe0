"""Find the installed Gazebo and check whether it is new enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.sim.gazebo.versions import GAZEBOS, HARMONIC, Gazebo, Version, gazebo_named

AUTO = "auto"
ASKING_S = 60.0
_VERSION = re.compile(r"^(\d+)\.(\d+)\.(\d+)\S*$", re.MULTILINE)


@dataclass(frozen=True)
class Installed:
    """The simulator to start: arguments that choose one of several installed versions, and notes for the log."""

    gazebo: Gazebo
    choosing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def installed(name: str, distribution: str) -> Installed:
    """The Gazebo of that name; with AUTO the newest one that a world can be written for.

    distribution: of ROS, for what to install. Raises: RsdfmError where there is none, or another one.
    """
    wanted = tuple(GAZEBOS.values()) if name == AUTO else (gazebo_named(name),)
    commands = dict.fromkeys(g.command for g in sorted(wanted, key=lambda g: -g.major))
    there = {command: versions for command in commands if (versions := _versions(command)) is not None}
    if not there:
        names = " or ".join(f"`{' '.join(command)}`" for command in commands)
        raise RsdfmError(f"there is no Gazebo ({names}) on the PATH: apt install ros-{distribution}-ros-gz")
    found: list[Version] = []
    for command, versions in there.items():
        found += versions
        of_major = {g.major: g for g in wanted if g.command == command}
        for version in versions:
            if version[0] in of_major:
                gazebo = of_major[version[0]]
                choosing = ("--force-version", _text(version)) if len(versions) > 1 else ()
                return Installed(gazebo, choosing, _notes(gazebo, version))
    if not found:
        first = next(iter(there))
        gazebo = next(g for g in (HARMONIC, *wanted) if g in wanted and g.command == first)
        asked = " ".join([*gazebo.command, "--versions"])
        return Installed(gazebo, (), (f"`{asked}` names no version: the world is written for {gazebo.name}",))
    expected = ", ".join(f"{g.major} ({g.name})" for g in wanted)
    others = ", ".join(_text(v) for v in found)
    raise RsdfmError(
        f"expected Gazebo's simulator in version {expected}, got {others}: install it, or give gazebo:= the "
        "version that is installed"
    )


def _notes(gazebo: Gazebo, version: Version) -> tuple[str, ...]:
    if version >= gazebo.minimum:
        return ()
    return (
        f"WARNING: {gazebo.name} {_text(version)} gives every link its weight: UAVs sink by 4 cm/s until they are "
        f"commanded; update it to {_text(gazebo.minimum)} or later",
    )


def _versions(command: tuple[str, ...]) -> list[Version] | None:
    """Versions that `--versions` prints, the newest first; None if there is no such simulator.

    `gz` and `ign` are there without one, too: they come with every tool of Gazebo, and fail on unknown subcommands.
    """
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run([*command, "--versions"], capture_output=True, text=True, timeout=ASKING_S)
    except (OSError, subprocess.SubprocessError):
        return []
    if done.returncode != 0:
        return None
    return sorted(((int(a), int(b), int(c)) for a, b, c in _VERSION.findall(done.stdout)), reverse=True)


def _text(version: Version) -> str:
    return ".".join(map(str, version))

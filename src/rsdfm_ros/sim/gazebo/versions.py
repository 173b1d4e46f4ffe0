"""The versions of Gazebo that a world can be written for, and the names that each of them uses."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from rsdfm_ros.errors import RsdfmError

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Gazebo:
    """One release of Gazebo.

    command: starts its simulator · minimum: oldest version of the simulator in which a link may be weightless ·
    library, system: beginnings of a plugin's file name and class · messages: package of its message types.
    """

    name: str
    command: tuple[str, str]
    minimum: Version
    library: str = "gz-sim"
    system: str = "gz::sim::systems"
    messages: str = "gz.msgs"

    @property
    def major(self) -> int:
        """The simulator's major version."""
        return self.minimum[0]

    def reads(self, other: Gazebo) -> bool:
        """Whether it accepts the names of a world that was written for another one."""
        return (self.library, self.system, self.messages) == (other.library, other.system, other.messages)


HARMONIC = Gazebo("harmonic", ("gz", "sim"), (8, 6, 0))
IONIC = Gazebo("ionic", ("gz", "sim"), (9, 0, 0))
FORTRESS = Gazebo(
    "fortress", ("ign", "gazebo"), (6, 17, 0), "ignition-gazebo", "ignition::gazebo::systems", "ignition.msgs"
)
GAZEBOS = {gazebo.name: gazebo for gazebo in (FORTRESS, HARMONIC, IONIC)}


def gazebo_named(name: str) -> Gazebo:
    """The version of that name. Raises: RsdfmError."""
    if name not in GAZEBOS:
        raise RsdfmError(f"gazebo: expected {', '.join(GAZEBOS)}, got {name!r}")
    return GAZEBOS[name]


def name_plugins(root: ET.Element, gazebo: Gazebo) -> ET.Element:
    """The document with its plugins, named as Harmonic names them, under the names of a version; changed in place."""
    for plugin in root.iter("plugin"):
        for key, here, there in (
            ("filename", HARMONIC.library, gazebo.library),
            ("name", HARMONIC.system, gazebo.system),
        ):
            plugin.set(key, there + plugin.attrib[key].removeprefix(here))
    return root

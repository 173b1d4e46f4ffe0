"""Writing XML: elements in one line of code, numbers without noise, the same bytes for the same scene."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from rsdfm_ros.errors import RsdfmError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class SdfError(RsdfmError):
    """A scene that cannot be written as SDF."""


def number(value: float, digits: int) -> str:
    """A decimal number with at most `digits` decimals and no trailing zeros. SdfError unless finite."""
    value = float(value)
    if value != value or value in (float("inf"), float("-inf")):
        raise SdfError(f"expected a finite number, got {value}")
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def numbers(values: Iterable[float], digits: int = 4) -> str:
    """Numbers with blanks between them."""
    return " ".join(number(v, digits) for v in values)


def add(parent: ET.Element, tag: str, text: object = None, **attributes: str) -> ET.Element:
    """A new child. Numbers keep six decimals, truth values are written as SDF wants them."""
    child = ET.SubElement(parent, tag, attributes)
    if text is not None:
        if isinstance(text, bool):
            text = "true" if text else "false"
        elif isinstance(text, float):
            text = number(text, 6)
        child.text = str(text)
    return child


def plugin(parent: ET.Element, library: str, system: str, **settings: object) -> ET.Element:
    """A system of gz-sim, by the names that it has since Garden."""
    element = add(parent, "plugin", filename=f"gz-sim-{library}-system", name=f"gz::sim::systems::{system}")
    for tag, value in settings.items():
        add(element, tag, value)
    return element


def pose(parent: ET.Element, xyz: Iterable[float], rpy: Iterable[float] = (0.0, 0.0, 0.0)) -> ET.Element:
    """A pose in m and rad, to a millimetre and a tenth of a milliradian."""
    return add(parent, "pose", f"{numbers(xyz, 3)} {numbers(rpy, 4)}")


def colour(parent: ET.Element, tag: str, rgb: Iterable[float]) -> ET.Element:
    """An opaque colour."""
    return add(parent, tag, f"{numbers(rgb, 3)} 1")


def checked_name(name: str, what: str) -> str:
    """The name if it is one that SDF, Gazebo topics and ROS all take, else SdfError."""
    if not NAME.fullmatch(name) or "__" in name or len(name) > 64:
        raise SdfError(f"{what}: expected letters, digits and single _, a letter first, got {name!r}")
    return name


def document(root: ET.Element, comment: str) -> str:
    """The text of a document: one element per line, short ones with their children on it. No `--` in the comment."""
    if "--" in comment:
        raise SdfError(f"XML allows no -- in a comment: {comment}")
    lines = ['<?xml version="1.0"?>', f"<!-- {comment} -->"]
    _lines(root, 0, lines)
    return "\n".join(lines) + "\n"


def _lines(element: ET.Element, depth: int, lines: list[str]) -> None:
    text = ET.tostring(element, encoding="unicode")
    if len(text) + depth <= 250 or not len(element):
        lines.append(" " * depth + text.strip())
        return
    attributes = "".join(f' {name}="{value}"' for name, value in element.attrib.items())
    lines.append(f"{' ' * depth}<{element.tag}{attributes}>")
    for child in element:
        _lines(child, depth + 1, lines)
    lines.append(f"{' ' * depth}</{element.tag}>")

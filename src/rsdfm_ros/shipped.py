"""Paths of files that come with the package, such as models/nano and config/, from any working folder."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = "rsdfm_ros"
SHIPPED_MODEL = "models/nano"
"""Folder of the model that comes with the package."""


def shares() -> list[Path]:
    """The share folders of this package in the sourced ROS environment, the uppermost first."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return [share for p in prefixes if (share := Path(p) / "share" / PACKAGE).is_dir()]


def places() -> list[Path]:
    """Folders in which relative paths are looked for: the working folder, this checkout if it is one, the share
    folders."""
    checkout = Path(__file__).resolve().parents[2]
    return [Path(), *([checkout] if (checkout / "package.xml").is_file() else []), *shares()]


def shipped(path: str | Path) -> Path:
    """`path` where it exists, in the first of `places`; unchanged if it is not found."""
    return next((place / path for place in places() if (place / path).exists()), Path(path))

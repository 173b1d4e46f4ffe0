"""Paths of files that tests need."""

from __future__ import annotations

from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
ROOT = TEST.parent
GOLDEN = TEST / "golden"
"""Stored packets of the wire format."""
TINY = TEST / "support" / "tiny.yaml"
"""A model that computes fast."""

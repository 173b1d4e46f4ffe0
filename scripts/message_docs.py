"""Write docs/messages.md from the comments in msg/*.msg: python scripts/message_docs.py"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "messages.md"

HEAD = """# Messages

Made from the comments in `msg/` by `python scripts/message_docs.py`; `ros2 interface show rsdfm_ros/msg/<name>` shows
the same. Units are SI, angles radians, quaternions xyzw, times mission time (`/clock` in simulation). Sequences are
bounded, so that a receiver knows the most that it can be sent; senders check the bounds, because assigning a longer
sequence in Python fails only when the message is published.
"""

_FIELD = re.compile(
    r"^(?P<type>[A-Za-z][\w/]*(?:<=\d+)?(?:\[[^\]]*\])?)\s+(?P<name>[A-Za-z]\w*)(?P<value>=\S+)?\s*$"
)


@dataclass(frozen=True)
class Field:
    """One field or constant of a message and the comment above it."""

    type: str
    name: str
    value: str
    comment: str


def parse(text: str) -> tuple[str, list[Field]]:
    """The description of a message and its fields; a block of constants shares the comment above the first."""
    head: list[str] = []
    fields: list[Field] = []
    block: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            block.append(line.lstrip("# ").rstrip())
        elif not line.strip():
            if not head and not fields:
                head, block = block, []
            block = []
        elif match := _FIELD.match(line):
            fields.append(Field(match["type"], match["name"], match["value"] or "", " ".join(block)))
        else:
            raise ValueError(f"cannot read the line {line!r}")
    return " ".join(head), fields


def document() -> str:
    """The whole page."""
    parts = [HEAD]
    for path in sorted((ROOT / "msg").glob("*.msg")):
        about, fields = parse(path.read_text())
        parts.append(f"\n## {path.stem}\n\n{about}\n\n| field | type | meaning |\n|---|---|---|\n")
        for field in fields:
            cell = field.type.replace("|", "\\|")
            parts.append(f"| `{field.name}{field.value}` | `{cell}` | {field.comment} |\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(document())

"""Words of sentences: numbers with their nouns, and the command that was typed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 peer`, `2 peers`; plural: where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def command_line(words: Sequence[str] | None = None) -> str:
    """A command line, by default of this process, as a person types it: the program by name, the home folder as ~."""
    program, *rest = (sys.argv if words is None else words) or [""]
    name = Path(program).name
    return without_home(shlex.join(["rsdfm" if name == "cli.py" else name, *rest]))


def without_home(text: str) -> str:
    """A text in which ~ stands for the home folder, whose name is often the person's."""
    home = str(Path.home())
    return text if len(home) < 2 else text.replace(home + os.sep, "~" + os.sep)

"""Words of sentences: numbers with their nouns, and the command that was typed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 peer`, `2 peers`; plural: where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def printable(value: object) -> str:
    """A value as text without control characters: names in bags and packets come from other machines."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def command_line(words: Sequence[str] | None = None) -> str:
    """A command line, by default of this process, as a person types it: the program by name, the home folder as ~."""
    program, *rest = (sys.argv if words is None else words) or [""]
    name = Path(program).name
    return without_home(shlex.join(["rsdfm" if name == "cli.py" else name, *rest]))


def checkout() -> Path | None:
    """Folder of the checkout that this package runs from; None if it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "rsdfm").is_file() and (root / "Makefile").is_file() else None


def program() -> str:
    """`rsdfm` as it can be typed here: ./rsdfm in the checkout, its path in other folders, its name if installed."""
    root = checkout()
    if root is None:
        return "rsdfm"
    return "./rsdfm" if root == Path.cwd() else path_word(root / "rsdfm")


def without_home(text: str) -> str:
    """A command line in which ~ stands for the home folder, whose name is often the person's.

    Only at the beginning of a path, and before its quotes, as shells do not expand it inside of quotes.
    """
    home = Path.home()
    if home == home.parent:
        return text
    return re.sub(rf"(^|(?<=[\s=:]))('?){re.escape(str(home))}/", r"~/\2", text)


def path_word(path: Path) -> str:
    """A path as a word of a command line."""
    return without_home(shlex.quote(str(path)))

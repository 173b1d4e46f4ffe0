"""Limits of the sources (CONTRIBUTING.md): short files, small folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

MAX_LINES, MAX_FILES = 300, 20


def test_files_have_at_most_300_lines(root: Path) -> None:
    kinds = ("*.py", "*.js", "*.css", "*.html")
    files = [path for kind in kinds for path in (root / "src").rglob(kind)]
    lines = {path: len(path.read_text().splitlines()) for path in files}
    assert lines, "no sources found"
    assert {str(path.relative_to(root)): n for path, n in lines.items() if n > MAX_LINES} == {}


def test_folders_have_at_most_20_python_files(root: Path) -> None:
    files = Counter(path.parent for path in (root / "src").rglob("*.py"))
    assert files, "no sources found"
    assert {str(folder.relative_to(root)): n for folder, n in files.items() if n > MAX_FILES} == {}

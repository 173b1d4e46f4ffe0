"""The page as one file: style, modules and, in a report, the data inside.

The modules import each other by bare names, which an import map turns into data: addresses. So the same sources work
from the server and from a file, without a build step, and a page makes no request but its WebSocket.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

STATIC = Path(__file__).with_name("static")
_START_SCRIPT = 'import "rsdfm/app";'


def modules() -> dict[str, str]:
    """Bare name → source of every module."""
    return {f"rsdfm/{path.stem}": path.read_text() for path in sorted(STATIC.glob("*.js"))}


def head() -> str:
    """Elements of a page's head: style and import map."""
    style = (STATIC / "style.css").read_text()
    return f'<style>{style}</style>\n<script type="importmap">{_import_map()}</script>'


def player(data: str | None = None) -> str:
    """The elements of the mission; data: JSON of a recorded mission (report.py), None for that of the server."""
    body = (STATIC / "player.html").read_text()
    inside = (
        "" if data is None else f'<script type="application/json" id="mission-data">{_inert(data)}</script>\n'
    )
    return f'{body}{inside}<script type="module">{_START_SCRIPT}</script>\n'


def served_page() -> str:
    """The page that the server sends."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Fleet</title>{head()}</head><body class=alone>{player()}</body></html>\n"
    )


def policy() -> str:
    """Content security policy of the served page: its own scripts, known by their hashes, and nothing from anywhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (_import_map(), _START_SCRIPT)
    )
    return (
        f"default-src 'none'; script-src {hashes} data:; style-src 'unsafe-inline'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _import_map() -> str:
    imports = {
        name: "data:text/javascript;base64," + base64.b64encode(source.encode()).decode()
        for name, source in modules().items()
    }
    return json.dumps({"imports": imports})


def _inert(data: str) -> str:
    """JSON that cannot end the element it stands in."""
    return data.replace("<", "\\u003c")

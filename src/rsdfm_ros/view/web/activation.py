"""Listens for the first browser, then becomes the program that serves the page, with the listening socket.

python -m rsdfm_ros.view.web.activation HOST PORT PROGRAM ARGUMENT …

Until then nothing of ROS is loaded: a mission that nobody looks at pays for a sleeping process and nothing else.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType

from rsdfm_ros.view.web.access import WebError, listening

VARIABLE = "RSDFM_WEB_SOCKET"
"""Environment variable with the number of the listening socket that a program takes over."""


def activated(host: str, port: int, program: Sequence[str]) -> list[str]:
    """The command line to start an activated program with."""
    return [sys.executable, "-m", "rsdfm_ros.view.web.activation", host, str(port), *program]


def inherited() -> socket.socket | None:
    """The listening socket of the program before this one, None without one. Raises: WebError if it is none."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    try:
        listener = socket.socket(fileno=int(text))
        listener.getsockname()
    except (OSError, ValueError) as error:
        raise WebError(f"{VARIABLE}={text} is no socket: {error}") from error
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait, then become the program; 2 if the port cannot be listened on."""
    host, port, *program = sys.argv[1:] if arguments is None else arguments
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        listener = listening(host, int(port))
    except OSError as error:
        print(f"error: no page on port {port} of {host}: {error.strerror}", file=sys.stderr, flush=True)
        return 2
    select.select([listener], [], [])
    os.set_inheritable(listener.fileno(), True)
    os.environ[VARIABLE] = str(listener.fileno())
    os.execv(program[0], program)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

"""A page without a browser: reads what the server of the page sends, and asks."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from rsdfm_ros.view.web.access import Address

WAIT_S = 30.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def get(
    address: Address, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of the answer to a GET request."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=WAIT_S)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def opened(address: Address, path: str = "/ws", **options: Any) -> AbstractContextManager[ClientConnection]:
    """A WebSocket of the server, open while it is entered."""
    return connect(
        f"ws://127.0.0.1:{address.port}{path}", compression=None, max_size=None, proxy=None, **options
    )


class Client:
    """What a page has received so far."""

    def __init__(self, address: Address, path: str = "/ws") -> None:
        self._opened = opened(address, path)
        self.about: dict[str, Any] = {}
        self.health: dict[str, Any] = {}
        self.rows: dict[int, list[Any]] = {}
        self.instants: list[dict[str, Any]] = []
        self.images: list[bytes] = []
        self.gone: list[int] = []

    def __enter__(self) -> Client:
        self.line = self._opened.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(None, None, None)

    def ask(self, **what: Any) -> None:
        """Send a request."""
        self.line.send(json.dumps(what))

    def until(self, condition: Callable[[], bool], what: str = "the condition holds") -> None:
        """Take messages until a condition holds."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"waited in vain until {what}"
            try:
                self.take(self.line.recv(timeout=min(left_s, 0.2)))
            except TimeoutError:
                continue

    def take(self, message: str | bytes) -> None:
        """Keep a message."""
        if isinstance(message, bytes):
            self.images.append(message)
            return
        content = json.loads(message)
        match content["type"]:
            case "about":
                self.about = content
            case "health":
                self.health = content
            case "index":
                self.rows.update({row[0]: row for row in content["rows"]})
            case "instant":
                self.instants.append(content)
            case "gone":
                self.gone.append(content["number"])

    def content(self, number: int) -> dict[str, Any]:
        """The newest content of an instant, asked for."""
        self.instants.clear()
        self.ask(want=number)
        self.until(
            lambda: any(i["content"]["number"] == number for i in self.instants), f"instant {number} comes"
        )
        return dict(next(i["content"] for i in self.instants if i["content"]["number"] == number))

"""One open page: what it asked for, and what it is sent, at its own rate.

Sent are JSON texts with a `type`: `about` (MissionRecord.about), `index` (rows of Instant.row), `health` (Health.now),
`gone` (number of an instant that is not kept), `instant` (content, and the sizes of its images), followed by one binary
message with these images. Asked for are {"rate": Hz}, {"live": whether the newest instant is wanted}, {"want": number},
{"alone": whether what UAVs answer alone is shown}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from time import monotonic
from typing import Any, Protocol

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.view.web.instants import Instant
from rsdfm_ros.view.web.record import MissionRecord

RATE_HZ, MIN_RATE_HZ, MAX_RATE_HZ = 1.0, 0.1, 10.0
"""Instants per second that a page is sent: usual, lowest and highest. The usual one keeps the cost low."""
TICK_S = 0.25
"""Time between two looks at what has changed, at most; less at high rates."""
MAX_MESSAGE = 512
"""Bytes of one message of a page."""
MAX_WANTED = 32
"""Instants that a page may have asked for and not got; older ones are dropped."""
ASKED_PER_S = 60.0
"""Messages per second that a page may send in the long run."""
SEND_S = 10.0
"""A page that takes nothing for so long is dropped."""
HEALTH_S = 1.0
"""Time between two messages about health, which comes once a second and UAV."""
ROWS = 2000
"""Rows of the index in one message."""


class RequestError(RsdfmError):
    """A message of a page that is not understood."""


class SlowViewer(RsdfmError):
    """A page that takes nothing."""


class Connection(Protocol):
    """The part of a WebSocket connection that is used."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or bytes."""

    async def recv(self) -> str | bytes:
        """Wait for the next message."""


class Viewer:
    """A page. `rate_hz`: how many instants it is sent per second while it shows the newest."""

    def __init__(self, connection: Connection, record: MissionRecord) -> None:
        self._connection, self._record = connection, record
        self.rate_hz, self.live, self.alone = RATE_HZ, True, False
        self._wanted: deque[int] = deque(maxlen=MAX_WANTED)
        self._woken = asyncio.Event()
        self._about = self._revision = -1
        self._health, self._health_s = 0, 0.0
        self._shown: tuple[int, int] | None = None
        self._ending = False
        self._allowance, self._asked_s = ASKED_PER_S, monotonic()

    @property
    def told(self) -> bool:
        """Whether it was sent the newest `about`."""
        return self._about == self._record.revision

    async def run(self) -> None:
        """Serve the page until it is closed. Raises: RequestError, SlowViewer, and what the connection raises."""
        asked = asyncio.ensure_future(self._listen())
        told = asyncio.ensure_future(self._tell())
        try:
            done, _ = await asyncio.wait({asked, told}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._ending = True  # before Python 3.12 wait_for may swallow a cancellation
            for task in (asked, told):
                task.cancel()
            await asyncio.gather(asked, told, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            self.take(await self._connection.recv())
            self._woken.set()

    def take(self, message: str | bytes) -> None:
        """Note what a page asks for. Raises: RequestError."""
        now_s = monotonic()
        self._allowance = min(ASKED_PER_S, self._allowance + ASKED_PER_S * (now_s - self._asked_s)) - 1
        self._asked_s = now_s
        if self._allowance < 0:
            raise RequestError(f"more than {ASKED_PER_S:.0f} messages per second")
        if not isinstance(message, str) or len(message) > MAX_MESSAGE:
            raise RequestError(f"expected a JSON text of at most {MAX_MESSAGE} characters")
        try:
            asked = json.loads(message)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"no JSON: {error}") from error
        if not isinstance(asked, dict) or not asked or set(asked) - {"rate", "live", "want", "alone"}:
            raise RequestError('expected an object with "rate", "live", "want" or "alone"')
        for key, value in asked.items():
            self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key == "live" and isinstance(value, bool):
            self.live = value
            self._shown = None
        elif key == "alone" and isinstance(value, bool):
            self.alone = value
        elif key == "rate" and number and MIN_RATE_HZ <= value <= MAX_RATE_HZ:
            self.rate_hz = float(value)
        elif key == "want" and isinstance(value, int) and number and 0 <= value < 2**53:
            if value not in self._wanted:
                self._wanted.append(value)
        else:
            raise RequestError(f"{key}: {str(value)[:40]!r} is out of range")

    async def _tell(self) -> None:
        """Send what has changed, and pause: a page that takes little gets less, never a queue."""
        next_s = 0.0
        while not self._ending:
            await self._tell_about()
            await self._tell_index()
            await self._tell_health()
            while self._wanted:
                await self._tell_instant(self._wanted.popleft())
            if self.live and monotonic() >= next_s and await self._tell_newest():
                next_s = monotonic() + 1 / self.rate_hz
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._woken.wait(), min(TICK_S, 0.5 / self.rate_hz))
            self._woken.clear()

    async def _tell_about(self) -> None:
        if self._about != self._record.revision:
            with self._record.instants.lock:
                revision, about = self._record.revision, self._record.about()
            await self._send(json.dumps({"type": "about", **about}, separators=(",", ":"), allow_nan=False))
            self._about = revision

    async def _tell_index(self) -> None:
        instants = self._record.instants
        if self._revision == instants.revision:
            return
        with instants.lock:
            changed = instants.since(self._revision) if self._revision >= 0 else instants.all()
            self._revision = instants.revision
            rows = [instant.row() for instant in changed]
        for first in range(0, len(rows), ROWS):
            part = {"type": "index", "rows": rows[first : first + ROWS]}
            await self._send(json.dumps(part, separators=(",", ":"), allow_nan=False))

    async def _tell_health(self) -> None:
        health = self._record.health
        if self._health == health.revision or monotonic() - self._health_s < HEALTH_S or not self.live:
            return
        self._health, self._health_s = health.revision, monotonic()
        await self._send(
            json.dumps({"type": "health", **health.now()}, separators=(",", ":"), allow_nan=False)
        )

    async def _tell_newest(self) -> bool:
        with self._record.instants.lock:
            newest = self._record.instants.newest_settled()
        if newest is None or self._shown == (newest.number, newest.revision):
            return False
        self._shown = (newest.number, newest.revision)
        await self._tell_instant(newest.number, newest=True)
        return True

    async def _tell_instant(self, number: int, *, newest: bool = False) -> None:
        instants = self._record.instants
        with instants.lock:
            instant = instants.numbered(number)
            if instant is None:
                text, images = json.dumps({"type": "gone", "number": number}), b""
            else:
                text, images = message_of(instant, instants.text(instant), newest=newest)
        await self._send(text)
        if images:
            await self._send(images)

    async def _send(self, message: str | bytes) -> None:
        try:
            await asyncio.wait_for(self._connection.send(message), SEND_S)
        except asyncio.TimeoutError as error:
            raise SlowViewer(f"it has taken nothing for {SEND_S:.0f} s") from error


def message_of(instant: Instant, content: str, *, newest: bool = False) -> tuple[str, bytes]:
    """The text about an instant with this JSON content, and its images one behind the other."""
    sizes = [[agent, camera, len(data)] for (agent, camera), data in instant.images.items()]
    head = json.dumps({"type": "instant", "newest": newest, "images": sizes}, separators=(",", ":"))
    return f'{head[:-1]},"content":{content}}}', b"".join(instant.images.values())

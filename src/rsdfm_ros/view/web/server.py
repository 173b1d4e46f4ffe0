"""Serves the page and its data: one page, one WebSocket, nothing else, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from rsdfm_ros.view.web.access import Address, WebError, refusal
from rsdfm_ros.view.web.page import policy, served_page
from rsdfm_ros.view.web.record import MissionRecord
from rsdfm_ros.view.web.viewer import MAX_MESSAGE, RequestError, SlowViewer, Viewer

MAX_VIEWERS = 16
START_S = 10.0
#: A page that vanished without a word is found out after their sum.
PING_S, PONG_S = 20.0, 20.0
BUFFER = 1 << 18
"""Bytes that wait for a page in this process before sending waits."""


class WebServer:
    """A context manager: serves while it is open. `viewers`: open pages · `refused`: refusals by reason."""

    def __init__(
        self,
        address: Address,
        record: MissionRecord,
        *,
        listener: socket.socket | None = None,
        on_viewer: Callable[[], None] = lambda: None,
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """listener: a socket that listens at the address already · on_viewer: called when a page opens, in the server's
        thread, as on_refused with the reason of a refusal."""
        self.address, self.record = address, record
        self.viewers: set[Viewer] = set()
        self._listener = listener
        self.refused: Counter[str] = Counter()
        self._on_viewer, self._on_refused = on_viewer, on_refused
        self._page = served_page().encode()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def __enter__(self) -> WebServer:
        self._thread.start()
        if not self._ready.wait(START_S) or self._error is not None:
            why = self._error or f"no answer within {START_S:.0f} s"
            raise WebError(f"{self.address.url} cannot be served ({why}): give another port")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)

    @property
    def rate_hz(self) -> float:
        """Instants per second that are of use: those of the fastest page; 0 without one."""
        return max((viewer.rate_hz for viewer in list(self.viewers)), default=0.0)

    @property
    def alone(self) -> bool:
        """Whether a page shows what UAVs answer alone."""
        return any(viewer.alone for viewer in list(self.viewers))

    def wait_told(self, limit_s: float) -> None:
        """Wait until every page knows the newest `about`."""
        deadline = time.monotonic() + limit_s
        while any(not viewer.told for viewer in list(self.viewers)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        quiet = logging.getLogger("rsdfm_ros.web")
        quiet.setLevel(logging.CRITICAL)  # a page that is closed half-way is no news
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        here = {"host": self.address.host, "port": self.address.port}
        where: dict[str, Any] = here if self._listener is None else {"sock": self._listener}
        server: Server
        async with serve(
            self._converse,
            **where,
            process_request=self._answer,
            compression=None,
            max_size=MAX_MESSAGE,
            max_queue=8,
            write_limit=BUFFER,
            ping_interval=PING_S,
            ping_timeout=PONG_S,
            close_timeout=1.0,
            logger=quiet,
            server_header=None,
        ) as server:
            self._ready.set()
            await self._stop.wait()
            server.close()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request, None to open a WebSocket."""
        path = request.path.partition("?")[0]
        if why := refusal(self.address, request.path, list(request.headers.raw_items())):
            return self._refuse("access", HTTPStatus.FORBIDDEN, why)
        if path == "/":
            return _response(HTTPStatus.OK, "text/html; charset=utf-8", self._page)
        if path != "/ws":
            return self._refuse("path", HTTPStatus.NOT_FOUND, "there is one page here: /")
        if len(self.viewers) >= MAX_VIEWERS:
            return self._refuse("full", HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} pages are open")
        return None

    def _refuse(self, reason: str, status: HTTPStatus, sentence: str) -> Response:
        self._count(reason)
        return _response(status, "text/plain; charset=utf-8", f"{sentence}\n".encode())

    async def _converse(self, connection: ServerConnection) -> None:
        viewer = Viewer(connection, self.record)
        if len(self.viewers) >= MAX_VIEWERS:  # several opened at once
            await connection.close(1013, "too many pages")
            return
        self.viewers.add(viewer)
        self._on_viewer()
        try:
            await viewer.run()
        except ConnectionClosed:
            pass
        except RequestError as error:
            self._count("request")
            await connection.close(1008, str(error)[:100])
        except SlowViewer:
            self._count("slow")
            connection.transport.abort()
        finally:
            self.viewers.discard(viewer)

    def _count(self, reason: str) -> None:
        self.refused[reason] += 1
        self._on_refused(reason)


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Security-Policy": policy(),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    fields: Any = Headers()
    for name, text in headers.items():
        fields[name] = text
    return Response(status.value, status.phrase, fields, body)

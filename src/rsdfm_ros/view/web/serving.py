"""Serve the page of a bag or a finished run until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.feeding import Feeder, record_of
from rsdfm_ros.view.web.options import SAYS
from rsdfm_ros.view.web.server import WebServer


def serve_recorded(
    path: Path, topic_map: TopicMap, address: Address, on_problems: Callable[[list[str]], None]
) -> None:
    """Serve until Ctrl-C; nothing is read before the first page opens. Raises: WebError."""
    record = record_of(path)
    feeder = Feeder(record, path, topic_map, on_problems)
    with WebServer(address, record, on_viewer=feeder.start):
        print(f"{SAYS.format(address.url)} (Ctrl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            feeder.stop()

"""web_node: serves the page of a live fleet to browsers; `rsdfm demo`, `fleet`, `replay` and `view` start it.

While no page is open it subscribes to nothing: it begins with the first page, and some time after the last one was
closed the process sleeps again as view/web/activation.py does (Fast DDS takes seconds for every subscription that is
made again in the same process). It subscribes as nodes/views/watching.py says, but not to feature packets, and to what
UAVs answer alone only while a page shows it; to its maps also where somebody else has them computed. Messages are taken
in batches. The UAVs publish outputs made for views only (bev/contributors) while a page is open.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.polling import PollingNode
from rsdfm_ros.nodes.core.runner import RARELY_S, run
from rsdfm_ros.nodes.views.settings import WebSettings
from rsdfm_ros.nodes.views.watching import Watch
from rsdfm_ros.view.messages import Router, is_alone
from rsdfm_ros.view.web.access import TOKEN_VARIABLE, Address, token_for
from rsdfm_ros.view.web.activation import activated, inherited
from rsdfm_ros.view.web.backfill import Backfill
from rsdfm_ros.view.web.options import SAYS
from rsdfm_ros.view.web.record import MissionRecord
from rsdfm_ros.view.web.server import WebServer
from rsdfm_ros.view.web.thinning import Thinning

LINGER_S = 30.0
"""Everything stays for so long after the last page was closed: pages are loaded anew."""
COMPARED = "/occupancy"
"""Of what UAVs answer alone, the topic that the figure of the gain comes from."""
LOOK_S = 0.5
"""Time between two looks at whether a page is open."""
FAREWELL_S = 0.5
"""Time for the pages to get the last words."""


class WebNode(PollingNode[WebSettings]):
    """`record`: what the pages show · `server`: serves it while the node is active · `finished`: set when nobody looks
    any more."""

    poll_s = 0.25

    def __init__(self, **options: Any) -> None:
        super().__init__("web_node", WebSettings, **options)
        self.record: MissionRecord | None = None
        self.server: WebServer | None = None
        self._watch: Watch | None = None
        self._backfill: Backfill | None = None
        self._seen_s, self._alone_s = 0.0, float("-inf")
        self.finished = threading.Event()
        self.start_polling()

    @property
    def watching(self) -> bool:
        """Whether it subscribes to the fleet."""
        return self._watch is not None and self._watch.running

    def configure(self) -> None:
        s = self.settings
        topic_map = load_map(s.topic_map) if s.topic_map else default_map()
        self.record = MissionRecord(s.title, live=True, lockstep=s.lockstep)
        router = Router(
            self.record, topic_map, self._on_reject, on_health=self.record.health.note, features=False
        )
        thinning = Thinning(lambda: 0.0 if self.server is None else self.server.rate_hz)
        self._watch = Watch(self, router, thinning.wants, listens=self._listens, group=self.unwaited)
        self._backfill = Backfill(self.record, Path(s.run)) if s.run else None

    def cleanup(self) -> None:
        self.record = self._watch = self._backfill = None

    def activate(self) -> None:
        assert self.record is not None
        address = Address(self.settings.host, self.settings.port, token_for(self.settings.host))
        server = WebServer(
            address,
            self.record,
            listener=inherited(),
            on_refused=lambda reason: self.reject(reason, "a request of a browser"),
        )
        self.server = server.__enter__()
        known = (
            os.environ.get(TOKEN_VARIABLE) == address.token
        )  # who started the node knows it: not into the log
        self.get_logger().info(SAYS.format(address.place if known else address.url))
        self.create_timer(LOOK_S, self._look, clock=STEADY)

    def deactivate(self) -> None:
        self._rest()
        if self.server is not None:
            self.server.__exit__(None, None, None)
            self.server = None

    def save(self) -> None:
        """Tell the open pages that nothing follows."""
        if self.record is not None and self.server is not None and self.server.viewers:
            self.record.end("the fleet has ended: what was received stays here to look through")
            self.server.wait_told(FAREWELL_S)

    def clear(self) -> None:
        if self.record is not None:
            self.record.clear()

    def _look(self) -> None:
        """Begin with the first page, finish with the last one."""
        server, watch = self.server, self._watch
        if server is None or watch is None:
            return
        now_s = monotonic()
        if server.alone:
            self._alone_s = now_s
        if server.viewers:
            self._seen_s = now_s
            if not watch.running:
                watch.start()
                if self._backfill is not None:
                    self._backfill.start()
        elif watch.running and now_s - self._seen_s > LINGER_S:
            self.finished.set()

    def _listens(self, topic: str) -> bool:
        """Whether a topic is subscribed to now."""
        shown = self.server is not None and self.server.alone
        if not is_alone(topic) or shown or monotonic() - self._alone_s < LINGER_S:
            return True
        if not topic.endswith(COMPARED):
            return False
        name = self.get_name()
        return any(info.node_name != name for info in self.get_subscriptions_info_by_topic(topic))

    def _rest(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._backfill is not None:
            self._backfill.stop()

    def _on_reject(self, topic: str, reason: str, text: str) -> None:
        self.reject(reason, f"{topic}: {text}")


def main() -> int:
    """Run the node in a process of its own, which sleeps again when nobody looks any more."""
    nodes: list[WebNode] = []

    def build() -> list[WebNode]:
        nodes.append(WebNode())
        return nodes

    # Its own callback finishes the node. Signals wake the executor.
    status = run(build, lambda: bool(nodes) and nodes[0].finished.is_set(), RARELY_S)
    if status == 0 and nodes and nodes[0].finished.is_set():
        settings = nodes[0].settings
        program = [sys.executable, "-m", "rsdfm_ros.start", "web_node", *sys.argv[1:]]
        sleeping = activated(settings.host, settings.port, program)
        os.execv(sleeping[0], sleeping)
    return status


if __name__ == "__main__":
    sys.exit(main())

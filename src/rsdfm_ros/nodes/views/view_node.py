"""view_node: shows a live fleet with rerun; `rsdfm view --no-web` starts it.

It subscribes as nodes/views/watching.py says. The UAVs publish outputs made for views only (bev/contributors) while
this node runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.views.settings import ViewSettings
from rsdfm_ros.nodes.views.watching import Watch
from rsdfm_ros.view.messages import Router
from rsdfm_ros.view.scene import Scene
from rsdfm_ros.view.viewer import new_recording, open_output


class ViewNode(RsdfmNode[ViewSettings]):
    """`router.shown` counts messages by topic."""

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewSettings, **options)
        self.router: Router | None = None
        self._recording: Any = None
        self._watch: Watch | None = None

    def configure(self) -> None:
        s = self.settings
        topic_map = load_map(s.topic_map) if s.topic_map else default_map()
        self._recording = new_recording("live fleet")
        save = Path(s.save) if s.save else None
        where = open_output(self._recording, save=save, web=s.web, connect=s.connect or None)
        self.router = Router(Scene(self._recording), topic_map, self._on_reject)
        self._watch = Watch(self, self.router)
        self.get_logger().info(where)

    def save(self) -> None:
        """Show what waits and write the recording."""
        self.deactivate()
        if self._recording is not None:
            self._recording.flush()

    def cleanup(self) -> None:
        if self._recording is not None:
            self._recording.flush()
            self._recording.disconnect()
            self._recording = None
        self.router = self._watch = None

    def activate(self) -> None:
        assert self._watch is not None
        self._watch.start()

    def deactivate(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _on_reject(self, topic: str, reason: str, text: str) -> None:
        self.reject(reason, f"{topic}: {text}")


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [ViewNode()])


if __name__ == "__main__":
    sys.exit(main())

"""uav_node with a record of the CPU time that the model and the codec take, for node_cost.py.

python -m benchmarks.node_child RECORD --ros-args …; RECORD: a file of three doubles, which this process keeps up to
date: CPU seconds of the model, CPU seconds of entropy coding, 1 while the model is loaded. Both run in the thread that
calls them as long as the parameter `threads` is 1.
"""

from __future__ import annotations

import functools
import mmap
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rsdfm_ros import start

MODEL, CODEC, LOADED = range(3)
SIZE_BYTES = 24
#: Work of the network. Calls among them count once.
OF_MODEL = (
    *("perceive", "combine", "compress", "decompress", "fuse", "detect", "segment", "predict"),
    *("answer", "objectness"),
)
OF_CODEC = ("encode_frame", "decode_packets")


class Record:
    """CPU seconds by kind, in a file that another process reads at any time."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self.seconds = np.frombuffer(mmap.mmap(file.fileno(), SIZE_BYTES), dtype=np.float64)
        self._inside = threading.local()

    def timed(self, function: Callable[..., Any], kind: int) -> Callable[..., Any]:
        """The function, with its CPU time counted unless it is called by another one that counts."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(self._inside, "any", False):
                return function(*arguments, **options)
            self._inside.any = True
            start_s = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[kind] += time.thread_time() - start_s
                self._inside.any = False

        return call

    def watch_codec(self) -> None:
        """Count what the package imports from wire/packet.py from now on."""
        from rsdfm_ros.wire import packet

        for name in OF_CODEC:
            setattr(packet, name, self.timed(getattr(packet, name), CODEC))

    def watch_model(self) -> None:
        """Count the calls of Perception once a model is loaded: its import takes a second."""
        from rsdfm_ros.nodes.uav import model

        load = model._load

        def loaded(*arguments: Any) -> Any:
            from rsdfm_ros.model.perception import Perception

            found = load(*arguments)
            for name in OF_MODEL:
                if hasattr(Perception, name):
                    setattr(Perception, name, self.timed(getattr(Perception, name), MODEL))
            self.seconds[LOADED] = 1.0
            return found

        model._load = loaded


if __name__ == "__main__":
    record = Record(sys.argv.pop(1))
    record.watch_codec()
    record.watch_model()
    start.run("uav_node")

"""Features of a frozen trunk on disk: computed as far as the coming steps use them, and kept for the next run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.training.loop import interrupts_wait

_SAVE_EVERY = 20


class FeatureFile:
    """Rows of float16 features in one array on disk, and beside it a mask of the written ones.

    shape: of the whole array, rows first; rows that were never written take no space on most file systems · key: what
    the rows depend on; rows of another key or shape are discarded.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], key: str) -> None:
        self._path, self._done_path = path, path.with_suffix(".done")
        self._key = f"{key} {shape}"
        self._rows = self._read(2 * int(np.prod(shape)))
        self.array: np.memmap[Any, np.dtype[np.float16]] = np.memmap(
            path, np.float16, "r+" if self._rows else "w+", shape=shape
        )

    def fill(
        self,
        batches: Sequence[Sequence[int]],
        compute: Callable[[int], NDArray[np.float16]],
        progress: Callable[[int, int], None],
        limit_s: float | None = None,
    ) -> int:
        """Compute the missing rows of `batches`, batch after batch; returns how many batches are complete.

        limit_s: no batch but the first is begun later than that. Raises: KeyboardInterrupt that names the saved state,
        after Ctrl-C or SIGTERM.
        """
        wanted = set[int]().union(*batches)
        start = time.monotonic()
        with interrupts_wait() as interrupted:
            try:
                for count, batch in enumerate(batches):
                    missing = [row for row in dict.fromkeys(batch) if row not in self._rows]
                    if missing and count and limit_s is not None and time.monotonic() - start >= limit_s:
                        return count
                    for row in missing:
                        interrupted()
                        self.array[row] = compute(row)
                        self._rows.add(row)
                        if len(self._rows) % _SAVE_EVERY == 0:
                            self._save()
                    progress(len(wanted & self._rows), len(wanted))
                interrupted()
                return len(batches)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"{len(wanted & self._rows)} of {len(wanted)} features are saved in {self._path}"
                ) from None
            finally:
                self._save()

    def _save(self) -> None:
        self.array.flush()
        write_atomically(self._done_path, json.dumps({"key": self._key, "rows": sorted(self._rows)}))

    def _read(self, size: int) -> set[int]:
        try:
            found = json.loads(self._done_path.read_text())
            if found["key"] == self._key and self._path.stat().st_size == size:
                return {int(row) for row in found["rows"]}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no usable rows
        return set()

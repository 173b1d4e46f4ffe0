"""Reads recordings of the viewer with the viewer's own reader, for tests."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

TIMELINE = "stamp"


class RerunFile:
    """rows: by entity and stamp (ns), newest last: component → value; static: by entity."""

    def __init__(self, path: Path) -> None:
        from rerun.chunk import RrdReader

        reader = RrdReader(path)
        self.recordings, self.blueprints = len(reader.recordings()), len(reader.blueprints())
        self.rows: dict[str, dict[int, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        self.static: dict[str, dict[str, Any]] = defaultdict(dict)
        chunks = sorted(reader.stream(), key=lambda c: str(c.id))
        for chunk in chunks:
            batch = chunk.to_record_batch()
            names = [n for n in batch.schema.names if ":" in n]
            for row in range(batch.num_rows):
                values = {n: batch.column(n)[row].as_py() for n in names if batch.column(n)[row].is_valid}
                if TIMELINE in batch.schema.names:
                    self.rows[chunk.entity_path][batch.column(TIMELINE)[row].value].update(values)
                else:
                    self.static[chunk.entity_path].update(values)

    def stamps(self, entity: str) -> list[int]:
        """Stamps of an entity, sorted."""
        return sorted(self.rows.get(entity, {}))

    def value(self, entity: str, stamp: int, component: str) -> Any:
        """The newest value of a component at a stamp."""
        return self.rows[entity][stamp][component]

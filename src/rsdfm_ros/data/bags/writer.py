"""Writes bags (rosbag2, MCAP or sqlite3), in one file or several, so that a killed recorder loses little.

While a file is being written it lies in a folder of its own below the bag's; closing moves it up and writes
metadata.yaml. A bag whose recorder was killed therefore has no metadata.yaml and lacks what came after the last
`flush`: data/bags/bag.py reads it all the same.
"""

from __future__ import annotations

import contextlib
import glob
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer
from rosbags.typesys.store import Typestore

from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.files import METADATA_LIMITS
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.outputs import is_vacant, write_atomically
from rsdfm_ros.yaml_file import read_yaml

STORAGES = ("mcap", "sqlite3")
METADATA = "metadata.yaml"
"""File that marks a bag as finished."""


def owned(folder: Path) -> tuple[str, ...]:
    """Patterns of the names that a bag in this folder consists of."""
    return (METADATA, ".metadata.*", f"{glob.escape(folder.resolve().name)}_*")


class BagWriter:
    """A rosbag2 bag of raw serialised messages; a context manager.

    folder: must not exist, or hold nothing · storage: `mcap` or `sqlite3` · max_bytes: a further file is begun when one
    holds so many bytes of messages; 0: never. Raises: BagError.
    """

    def __init__(self, folder: Path | str, *, storage: str = "mcap", max_bytes: int = 0) -> None:
        self.folder = Path(folder)
        self._storage, self._max_bytes = storage, max_bytes
        if storage not in STORAGES:
            raise BagError(
                self.folder, f"storage {storage!r} is unknown", f"expected {' or '.join(STORAGES)}"
            )
        if self.folder.exists() and not is_vacant(self.folder):
            raise BagError(self.folder, "exists already", "choose another folder, or remove it")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BagError(self.folder, f"cannot be made ({error.strerror})") from error
        self._topics: dict[str, tuple[str, Typestore, tuple[Qos, ...]]] = {}
        self._connections: dict[str, Connection] = {}
        self._part_bytes = 0
        self._done: list[dict[str, Any]] = []
        self.messages = 0
        self.bytes = 0
        self._writer: Writer | None = self._begin()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(
        self, topic: str, type_name: str, store: Typestore | None = None, qos: Sequence[Qos] = ()
    ) -> None:
        """Announce a topic; not needed for our types and standard ones. store: where the type is defined.

        Raises: BagError for a type that is not known there.
        """
        known = store or typestore()
        if type_name not in known.fielddefs:
            raise BagError(self.folder, f"{topic} cannot be recorded: the type {type_name} is not known here")
        self._topics[topic] = (type_name, known, tuple(qos))

    def write(self, topic: str, type_name: str, log_ns: int, raw: bytes | memoryview) -> None:
        """Append a message of `type_name` (e.g. rsdfm_ros/msg/FeaturePacket). Raises: BagError for an unknown type."""
        assert self._writer is not None, "the bag is closed"
        if topic not in self._topics:
            self.add(topic, type_name)
        if self._max_bytes and self._part_bytes and self._part_bytes + len(raw) > self._max_bytes:
            self._end()
            self._writer = self._begin()
        with self._database_errors():
            if topic not in self._connections:
                name, store, qos = self._topics[topic]
                self._connections[topic] = self._writer.add_connection(
                    topic, name, typestore=store, offered_qos_profiles=qos
                )
            self._writer.write(self._connections[topic], log_ns, raw)
        self._part_bytes += len(raw)
        self.messages += 1
        self.bytes += len(raw)

    def flush(self) -> None:
        """Hand everything to the operating system: written data survives a kill."""
        storage = None if self._writer is None else self._writer.storage
        if isinstance(storage, McapWriter):
            if storage.chunk.bio.tell():
                storage.close_chunk()
            storage.bio.flush()
        elif isinstance(storage, Sqlite3Writer):
            with self._database_errors():
                storage.conn.commit()

    def close(self) -> None:
        """Finish the bag."""
        if self._writer is not None:
            with self._database_errors():
                self._end()
            self._writer = None
            self._describe()

    @contextlib.contextmanager
    def _database_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BagError(self.folder, f"cannot be written ({error})", "is the disk full?") from error

    def _begin(self) -> Writer:
        plugin = StoragePlugin.MCAP if self._storage == "mcap" else StoragePlugin.SQLITE3
        part = self.folder / f"{self.folder.resolve().name}_{len(self._done)}"
        writer = Writer(part, version=9, storage_plugin=plugin)
        if self._storage == "mcap":
            # Chunks inside the file are compressed: masks shrink a hundredfold, and every MCAP reader understands it.
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        if isinstance(writer.storage, Sqlite3Writer):
            # Made, written and closed by different threads of a recorder, one after the other.
            writer.storage.conn.close()
            writer.storage.conn = sqlite3.connect(writer.storage.path, check_same_thread=False)
            writer.storage.cursor = writer.storage.conn.cursor()
        self._connections, self._part_bytes = {}, 0
        return writer

    def _end(self) -> None:
        assert self._writer is not None
        self._writer.close()
        part = self._writer.path
        content = read_yaml(part / "metadata.yaml", METADATA_LIMITS)["rosbag2_bagfile_information"]
        for name in content["relative_file_paths"]:
            (part / name).replace(self.folder / name)
        (part / "metadata.yaml").unlink()
        part.rmdir()
        self._done.append(content)

    def _describe(self) -> None:
        """One metadata.yaml for all files."""
        parts = self._done
        filled = [p for p in parts if p["message_count"]]
        start = min((p["starting_time"]["nanoseconds_since_epoch"] for p in filled), default=0)
        end = max(
            (p["starting_time"]["nanoseconds_since_epoch"] + p["duration"]["nanoseconds"] for p in filled),
            default=start,
        )
        topics: dict[str, dict[str, Any]] = {}
        for part in parts:
            for item in part["topics_with_message_count"]:
                name = item["topic_metadata"]["name"]
                before = topics.setdefault(name, {**item, "message_count": 0})
                before["message_count"] += item["message_count"]
        if not filled:
            for part in parts:
                part["files"][0]["starting_time"]["nanoseconds_since_epoch"] = 0
        content = {
            **parts[0],
            "relative_file_paths": [n for p in parts for n in p["relative_file_paths"]],
            "starting_time": {"nanoseconds_since_epoch": start},
            "duration": {"nanoseconds": end - start},
            "message_count": sum(p["message_count"] for p in parts),
            "topics_with_message_count": list(topics.values()),
            "files": [f for p in parts for f in p["files"]],
            # The chunks inside the file are compressed, which is part of MCAP.
            "compression_format": "",
            "compression_mode": "",
        }
        text = yaml.safe_dump({"rosbag2_bagfile_information": content}, sort_keys=False)
        write_atomically(self.folder / METADATA, text)

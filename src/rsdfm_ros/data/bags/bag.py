"""A bag: files, topics and messages in the order of time, as far as they can be read.

with open_bag("out/demo/bag") as bag:
    for message in bag.messages(["/uav1/pose"]):
        pose = bag.decode(message)
    print(bag.damage)
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.files import BagFiles, find_files, unpack_file
from rsdfm_ros.data.bags.limits import ZSTD_MAGIC, Limits, inflate
from rsdfm_ros.data.bags.mcap import McapFile
from rsdfm_ros.data.bags.sqlite import SqliteFile
from rsdfm_ros.data.bags.streams import merge
from rsdfm_ros.data.bags.types import BagTypes
from rsdfm_ros.data.messages.errors import MessageError

USUAL = Limits()


@dataclass(frozen=True)
class BagTopic:
    """A topic: messages, as far as the files say, and why they cannot be read ("" if they can)."""

    name: str
    type_name: str
    messages: int
    problem: str = ""


@dataclass(frozen=True)
class BagMessage:
    """A recorded message. log_ns: when it was recorded · raw: serialised (CDR) bytes."""

    topic: str
    type_name: str
    log_ns: int
    raw: bytes


class Bag:
    """An open bag; a context manager. `damage`: sentences on what could not be read, complete after reading."""

    def __init__(self, path: Path, files: BagFiles, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.storage = files.storage
        self.damage = list(files.damage)
        self.size_bytes = sum(p.stat().st_size for p in files.paths)
        self.types = BagTypes()
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None
        self._files: list[McapFile | SqliteFile] = []
        for number, file in enumerate(files.paths):
            try:
                self._files.append(self._open(file, number))
            except OSError as error:
                self.damage.append(f"{file.name}: cannot be opened ({error.strerror or error})")
        self.topics = self._topics()

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files:
            file.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()
            self._unpacked = None

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Messages of these topics (all that can be read if None) in the order of their log times."""
        readable = {n for n, t in self.topics.items() if not t.problem}
        wanted = readable if topics is None else readable & set(topics)
        streams = [s for file in self._files for s in file.streams(wanted)]

        def crowded() -> None:
            mega = self.limits.open_bytes >> 20
            self.damage.append(
                f"more than {mega} MiB of chunks overlap in time: messages are not quite in order"
            )

        for topic, type_name, record in merge(streams, self.limits.open_bytes, crowded):
            raw: bytes | memoryview = record.raw
            if raw[:4] == ZSTD_MAGIC:  # rosbag2's compression per message; CDR begins with 0
                try:
                    raw = inflate(raw, "zstd", self.limits.message_bytes)
                except ValueError as error:
                    self._say(f"{topic}: a compressed message is left out ({error})")
                    continue
            yield BagMessage(topic, type_name, record.log_ns, bytes(raw))

    def decode(self, message: BagMessage) -> Any:
        """The message object. Raises: MessageError, also for a message that is not of the type of its topic."""
        kind = self.topics[message.topic].type_name
        if message.type_name != kind:
            raise MessageError("other_type", f"a {message.type_name} on {message.topic}, expected a {kind}")
        return self.types.decode(message.raw, message.type_name)

    def _say(self, sentence: str) -> None:
        if sentence not in self.damage:
            self.damage.append(sentence)

    def _open(self, file: Path, number: int) -> McapFile | SqliteFile:
        if file.suffix == ".zstd":
            if self._unpacked is None:
                self._unpacked = tempfile.TemporaryDirectory(prefix="rsdfm-bag-")
            target = Path(self._unpacked.name) / f"{number}_{file.stem}"
            free = shutil.disk_usage(target.parent).free
            unpack_file(file, target, min(self.limits.file_bytes, free // 2), self.damage)
            file = target
        kind = SqliteFile if file.suffix == ".db3" else McapFile
        return kind(file, self.limits, self.damage)

    def _topics(self) -> dict[str, BagTopic]:
        out: dict[str, BagTopic] = {}
        for file in self._files:
            for number, channel in file.channels.items():
                schema = file.schemas.get(channel.schema)
                name = "" if schema is None else schema.name
                problem = ""
                if schema is None:
                    problem = "its type is not recorded"
                elif channel.encoding != "cdr":
                    problem = f"its messages are encoded as {channel.encoding[:40]!r}, not as CDR"
                else:
                    definition = schema.definition
                    if len(definition) > self.limits.definition_bytes:
                        self._say(f"{name}: its definition of {len(definition)} bytes is left out")
                        definition = ""
                    self.types.add(name, schema.encoding, definition)
                before = out.get(channel.topic)
                count = file.counts[number] + (before.messages if before else 0)
                if before is not None and name not in ("", before.type_name):
                    self._say(f"{channel.topic} carries {name} beside {before.type_name}")
                if before is not None and not before.problem:
                    name, problem = before.type_name, ""
                out[channel.topic] = BagTopic(channel.topic, name, count, problem)
        return dict(sorted(out.items()))


def open_bag(path: str | Path, limits: Limits = USUAL) -> Bag:
    """Open a bag: its folder, its metadata.yaml, or one of its files.

    Raises: BagError if there is no bag. Damage is listed in `damage` instead.
    """
    place = Path(path)
    files = find_files(place)
    bag = Bag(place, files, limits)
    if not any(t.messages for t in bag.topics.values()):
        problems = "; ".join(bag.damage) or "no message was recorded"
        bag.close()
        raise BagError(place, f"nothing in it can be read: {problems}", "record it anew, or give another bag")
    return bag

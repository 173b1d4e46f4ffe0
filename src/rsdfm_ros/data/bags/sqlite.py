"""One sqlite3 file of rosbag2: its topics and messages, as far as the database can still be read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from rsdfm_ros.data.bags.limits import END_OF_TIME_NS, Limits
from rsdfm_ros.data.bags.records import Channel, Schema
from rsdfm_ros.data.bags.streams import Record, Stream
from rsdfm_ros.words import counted

UNREADABLE = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""Errors of a damaged database: of SQLite, of its messages when they quote what is damaged, and of sizes that it
believes."""
STEPS_BETWEEN, STEPS_PER_BYTE, STEPS_LEAST = 100_000, 20, 10_000_000
"""Steps of SQLite's virtual machine. A row takes some ten of them and some ten bytes of the file, so that a query which
takes many more goes round in circles through damaged pages."""


class SqliteFile:
    """The same interface as mcap.McapFile: schemas, channels, counts, damage, streams."""

    def __init__(self, path: Path, limits: Limits, damage: list[str]) -> None:
        self.path, self.limits, self.damage = path, limits, damage
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.counts: Counter[int] = Counter()
        self._named: set[str] = set()
        self._rows: list[tuple[int, int, int]] | None = None
        """(time, id, topic) of all rows that can be read, if the database is damaged."""
        self._start_ns = self._steps_left = 0
        self._database: sqlite3.Connection | None = None
        if not path.stat().st_size:
            self.say("is empty")
            return
        try:
            self._database = self._open()
            self._index(whole=True)
        except (*UNREADABLE, OverflowError) as error:
            self._mend(error)

    def _mend(self, why: Exception) -> None:
        """Open a truncated file: sqlite refuses one shorter than its first page states, unless the schema is declared
        writable."""
        self.close()
        self.channels.clear()
        self.schemas.clear()
        try:
            self._database = self._open()
            self._database.execute("PRAGMA writable_schema=ON")
            self._index(whole=False)
        except (*UNREADABLE, OverflowError, RecursionError):
            self.channels.clear()
            self.say(f"cannot be read as a database ({why})")
        else:
            self.say(f"is damaged ({why}): what can be read is used")

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def say(self, problem: str) -> None:
        """Name damage, once."""
        if problem not in self._named:
            self._named.add(problem)
            self.damage.append(f"{self.path.name}: {problem}")

    def _index(self, *, whole: bool) -> None:
        tables = dict(self._query("SELECT name, type FROM sqlite_master"))
        if tables.get("topics") != "table" or tables.get("messages") != "table":
            self.say("has no tables `topics` and `messages`: it is no rosbag2 database")
            return
        definitions = self._definitions() if tables.get("message_definitions") == "table" else {}
        limit = self.limits.topics
        for row in self._query(f"SELECT id, name, type, serialization_format FROM topics LIMIT {limit}"):
            number, name, kind, encoding = row
            if not isinstance(number, int) or not all(isinstance(v, str) for v in (name, kind, encoding)):
                self.say("a topic with fields of a wrong kind is left out")
                continue
            self.channels[number] = Channel(number, number, name, encoding)
            form, text = definitions.get(kind, ("", ""))
            self.schemas[number] = Schema(number, kind, form, text)
        if whole:
            self._check()
            return
        self._rows = sorted(row for row in self._readable() if row[2] in self.channels)
        self.counts = Counter(row[2] for row in self._rows)
        self._start_ns = self._rows[0][0] if self._rows else 0

    def _check(self) -> None:
        """Counts and first time; walks over the whole table, so that damage shows now. Raises sqlite3.DatabaseError."""
        assert self._database is not None
        sql = "SELECT topic_id, COUNT(*), MIN(timestamp), SUM(length(data)) FROM messages NOT INDEXED GROUP BY topic_id"
        first: list[int] = []
        for topic, count, start, _ in self._query(sql):
            if topic in self.channels and isinstance(topic, int) and isinstance(start, int):
                self.counts[topic] = count
                first.append(start)
        self._start_ns = min(first, default=0)
        # length() reads no overflow pages: a cut-off file is found by its size.
        pages, page = self._one("PRAGMA page_count"), self._one("PRAGMA page_size")
        if pages * page > self.path.stat().st_size:
            raise sqlite3.DatabaseError(f"{self.path.stat().st_size} bytes instead of {pages * page}")

    def _definitions(self) -> dict[str, tuple[str, str]]:
        out = {}
        sql = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions "
        for row in self._query(sql + f"LIMIT {self.limits.topics}"):
            if all(isinstance(v, str) for v in row) and len(row[2]) <= self.limits.definition_bytes:
                out[row[0]] = (row[1], row[2])
        return out

    def _readable(self) -> Iterator[tuple[int, int, int]]:
        """(time, id, topic) of readable rows, skipping damaged ones."""
        at = -1
        last = self._last_rowid()
        leap = 1
        while at < last and leap <= last + 1:
            try:
                sql = "SELECT timestamp, id, topic_id FROM messages NOT INDEXED WHERE id > ? ORDER BY id"
                for row in self._query(sql, (at,)):
                    if all(isinstance(v, int) for v in row):
                        at, leap = row[1], 1
                        if _of_a_clock(row[0]):
                            yield row
                return
            except UNREADABLE:
                at += leap
                leap *= 2

    def _last_rowid(self) -> int:
        """The largest id that may exist: if it cannot be asked for, every row needs at least four bytes."""
        with contextlib.suppress(
            *UNREADABLE, TypeError
        ):  # of no row, or of one with something else for an id
            return int(self._one("SELECT MAX(id) FROM messages NOT INDEXED"))
        return self.path.stat().st_size // 4

    def streams(self, topics: Collection[str] | None) -> list[Stream]:
        """Streams that have to be read for these topics (all if None)."""
        wanted = {n for n, c in self.channels.items() if topics is None or c.topic in topics}
        if self._database is None or not any(self.counts[n] for n in wanted):
            return []
        if self._rows is not None:
            return [Stream(self._start_ns, 0, lambda: self._salvaged(wanted))]
        return [Stream(self._start_ns, 0, lambda: self._ordered(wanted))]

    def _ordered(self, wanted: set[int]) -> Iterator[tuple[str, str, Record]]:
        marks = ",".join("?" * len(wanted))
        sql = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp, id"
        try:
            for topic, log_ns, data in self._query(sql, tuple(wanted)):
                if not isinstance(log_ns, int) or not isinstance(data, bytes):
                    self.say("a message with fields of a wrong kind is left out")
                elif _of_a_clock(log_ns):
                    yield self._record(topic, log_ns, data)
                else:
                    self.say(f"a message is left out (a log time of {log_ns} ns)")
        except UNREADABLE as error:
            self.say(f"is damaged ({error}): the rest is left out")

    def _salvaged(self, wanted: set[int]) -> Iterator[tuple[str, str, Record]]:
        lost = 0
        for log_ns, number, topic in self._rows or ():
            if topic not in wanted:
                continue
            try:
                data = self._one("SELECT data FROM messages NOT INDEXED WHERE id = ?", (number,))
            except (*UNREADABLE, TypeError):
                data = None
            if isinstance(data, bytes):
                yield self._record(topic, log_ns, data)
            else:
                lost += 1
        if lost:
            self.say(f"{counted(lost, 'message')} cannot be read any more")

    def _record(self, topic: int, log_ns: int, data: bytes) -> tuple[str, str, Record]:
        return self.channels[topic].topic, self.schemas[topic].name, Record(log_ns, topic, data)

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> Iterator[tuple]:
        assert self._database is not None
        self._steps_left = STEPS_LEAST + STEPS_PER_BYTE * self.path.stat().st_size
        yield from self._database.execute(sql, values)

    def _one(self, sql: str, values: tuple[object, ...] = ()):
        assert self._database is not None
        self._steps_left = STEPS_LEAST + STEPS_PER_BYTE * self.path.stat().st_size
        return self._database.execute(sql, values).fetchone()[0]

    def _open(self) -> sqlite3.Connection:
        """A connection whose queries end."""
        database = _open(self.path, self.limits)
        database.set_progress_handler(self._count_steps, STEPS_BETWEEN)
        return database

    def _count_steps(self) -> bool:
        """Whether a query has taken too many steps, which interrupts it."""
        self._steps_left -= STEPS_BETWEEN
        return self._steps_left < 0


def _of_a_clock(log_ns: int) -> bool:
    return 0 <= log_ns < END_OF_TIME_NS


def _open(path: Path, limits: Limits) -> sqlite3.Connection:
    """A read-only connection for an untrusted file.

    A write-ahead log beside it (a recorder that was killed) is read too; otherwise the file is taken as it is.
    """
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.is_file() and log.stat().st_size else "mode=ro&immutable=1"
    database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True)
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
        database.execute(f"PRAGMA {pragma}")
    if hasattr(database, "setlimit"):  # Python 3.11
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.message_bytes)
    return database

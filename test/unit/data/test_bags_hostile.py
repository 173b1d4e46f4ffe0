"""Bags that are made to fail: definitions that explode, times of no clock, summaries that lead in circles."""

from __future__ import annotations

import io
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.definitions import MAX_ELEMENTS, MAX_FIELDS
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.files import find_files
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.limits import END_OF_TIME_NS
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.sqlite import SqliteFile
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.data.bags.types import BagTypes
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.evaluation.bags.report import print_info
from support.bag_data import make_bag, only_file
from support.bag_drafts import Draft, Lies, Topic, draft_of, mcap_of, sqlite_of

CDR = b"\0\1\0\0"


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    return draft_of(make_bag(tmp_path_factory.mktemp("whole") / "bag", frames=2, truth=1))


def written(draft: Draft, path: Path) -> Path:
    path.write_bytes(mcap_of(draft) if path.suffix == ".mcap" else sqlite_of(draft, path))
    return path


def with_definition(draft: Draft, topic: str, definition: str) -> Draft:
    return replace(
        draft,
        topics=tuple(replace(t, definition=definition) if t.name == topic else t for t in draft.topics),
    )


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_draft_is_a_whole_bag(draft: Draft, tmp_path: Path, suffix: str) -> None:
    with open_bag(written(draft, tmp_path / f"a{suffix}")) as bag:
        assert len(list(bag.messages())) == len(draft.messages) and bag.damage == []
        assert len([i for i in Sensors(bag, default_map()).instants() if i.images]) == 2


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("geometry_msgs/Point[90000000] x", f"more than {MAX_ELEMENTS}"),
        ("string[90000000] x", f"more than {MAX_ELEMENTS}"),
        (f"B[300] x\n{'=' * 80}\nMSG: a_msgs/B\nC[300] x\n{'=' * 80}\nMSG: a_msgs/C\nuint8 x", "more than"),
        ("a_msgs/A x", "contains itself"),
        (f"a_msgs/B[] x\n{'=' * 80}\nMSG: a_msgs/B\na_msgs/A x", "contains itself"),
        ("\n".join(f"uint8 a{k}" for k in range(MAX_FIELDS + 1)), f"at most {MAX_FIELDS}"),
    ],
)
def test_definitions_that_would_become_endless_code_are_refused(definition: str, why: str) -> None:
    types = BagTypes()
    types.add("a_msgs/msg/A", "ros2msg", definition)
    with pytest.raises(MessageError, match="unknown here"):
        types.decode(CDR, "a_msgs/msg/A")
    assert any(why in sentence for sentence in types.differences)


def test_a_definition_of_our_type_without_our_fields_makes_it_unreadable(
    draft: Draft, tmp_path: Path
) -> None:
    topic = "/uav1/camera/image_raw"
    for number, (definition, why) in enumerate(
        [
            ("float64 x", "lacks `header`"),
            ("std_msgs/Header header\nstring height\nuint32 width\nstring encoding\nuint8 is_bigendian\n"
             "uint32 step\nuint8[] data", "`height` of another type"),
        ]
    ):  # fmt: skip
        with open_bag(written(with_definition(draft, topic, definition), tmp_path / f"{number}.mcap")) as bag:
            sensors = Sensors(bag, default_map())
            seen = {uav for instant in sensors.instants() for uav in instant.images}
            assert not seen and sensors.rejects[topic, "other_definition"] == 2, (
                "the first definition counts for all"
            )
            assert why in sensors.reasons[topic, "other_definition"]
            assert why in bag_info(bag, default_map())["topics"][topic]["problem"]


def test_a_definition_with_other_sizes_of_numbers_is_read(draft: Draft, tmp_path: Path) -> None:
    topic = "/uav1/pose"
    definition = next(t.definition for t in draft.topics if t.name == topic)
    other = definition.replace("uint32 nanosec", "int32 nanosec") + "\n"
    assert other != definition + "\n"
    with open_bag(written(with_definition(draft, topic, other), tmp_path / "a.mcap")) as bag:
        sensors = Sensors(bag, default_map())
        assert any("uav1" in i.images for i in sensors.instants()) and not sensors.rejects


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
@pytest.mark.parametrize("log_ns", [END_OF_TIME_NS, 2**63 - 1, -(2**62)])
def test_log_times_that_no_ros_clock_shows_are_left_out(
    draft: Draft, tmp_path: Path, suffix: str, log_ns: int
) -> None:
    messages = (*draft.messages[:-1], replace(draft.messages[-1], log_ns=log_ns))
    with open_bag(written(replace(draft, messages=messages), tmp_path / f"a{suffix}")) as bag:
        assert len(list(bag.messages())) == len(messages) - 1
        assert any("a log time of" in sentence for sentence in bag.damage)


def test_a_message_of_another_type_than_its_topic_is_refused(draft: Draft, tmp_path: Path) -> None:
    pose = next(n for n, t in enumerate(draft.topics) if t.name == "/uav1/pose")
    again = Topic("/uav1/pose", "geometry_msgs/msg/Point")
    raw = CDR + struct.pack("<3d", 1, 2, 3)
    message = replace(next(m for m in draft.messages if m.topic == pose), topic=len(draft.topics), raw=raw)
    other = replace(draft, topics=(*draft.topics, again), messages=(*draft.messages, message))
    with open_bag(written(other, tmp_path / "a.mcap")) as bag:
        sensors = Sensors(bag, default_map())
        assert len([i for i in sensors.instants() if "uav1" in i.images]) == 2
        assert sensors.rejects == {("/uav1/pose", "other_type"): 1}


def test_a_summary_with_chunks_that_overlap_is_not_used(draft: Draft, tmp_path: Path) -> None:
    with open_bag(written(replace(draft, lies=Lies(chunk_repeated=500)), tmp_path / "a.mcap")) as bag:
        assert len(list(bag.messages())) == len(draft.messages)
        assert any("the summary contradicts the file" in sentence for sentence in bag.damage)


def test_names_in_metadata_are_read_once_and_of_any_length(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", frames=1, truth=0)
    name, metadata = only_file(bag).name, bag / "metadata.yaml"
    names = f"{name}\n  - ".join([""] * 900) + f"{name}\n  - {'x' * 5000}.mcap"
    text = metadata.read_text()
    assert f"- {name}" in text
    metadata.write_text(text.replace(f"- {name}", names.strip().removeprefix("- ").join(["- ", ""]), 1))
    assert [p.name for p in find_files(bag).paths] == [name]


def test_names_of_topics_are_no_markup_and_control_no_terminal(draft: Draft, tmp_path: Path) -> None:
    topics = tuple(
        replace(t, name=f"/[/red]\x1b[2J{n}", kind=f"[b]{t.kind}") for n, t in enumerate(draft.topics)
    )
    out = io.StringIO()
    with open_bag(written(replace(draft, topics=topics), tmp_path / "a.mcap")) as bag:
        print_info(bag_info(bag, default_map()), Console(file=out, width=200))
    assert "/[/red]?[2J0" in out.getvalue() and "\x1b" not in out.getvalue()


def test_errors_of_sqlite_that_quote_damaged_text_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db3"
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE topics(id, name, type, serialization_format);"
        "CREATE TABLE messages(id, topic_id, timestamp, data); CREATE INDEX here ON messages(data);"
    )
    database.close()
    raw = path.read_bytes()
    assert raw.count(b"ON messages(data)") == 1
    path.write_bytes(raw.replace(b"ON messages(data)", b"ON messages(d\x94\x94a)"))
    with pytest.raises(BagError, match=r"a\.db3"):
        open_bag(path)


def test_a_query_that_goes_round_in_circles_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_bag(tmp_path / "bag", frames=1, truth=0, storage="sqlite3")
    monkeypatch.setattr("rsdfm_ros.data.bags.sqlite.STEPS_BETWEEN", 1000)
    monkeypatch.setattr("rsdfm_ros.data.bags.sqlite.STEPS_LEAST", 100_000)
    monkeypatch.setattr("rsdfm_ros.data.bags.sqlite.STEPS_PER_BYTE", 0)
    with open_bag(folder) as bag:
        (file,) = bag._files
        assert isinstance(file, SqliteFile) and len(list(bag.messages())) == 7
        endless = "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT COUNT(*) FROM a"
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            list(file._query(endless))

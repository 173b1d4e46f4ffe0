"""Bags that are whole, damaged in every way we know of, or made to hurt."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from rsdfm_ros.data.bags import records as rec
from rsdfm_ros.data.bags.bag import Bag, open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.info import bag_info
from rsdfm_ros.data.bags.limits import Limits, TooLarge, inflate
from rsdfm_ros.data.bags.streams import Record, Stream, merge
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.messages.errors import MessageError
from support.bag_data import AGENTS, make_bag, only_file
from support.mcap_by_hand import (
    channel_records,
    chunk_record,
    header_record,
    message_record,
    open_bag_anyway,
    record,
    text,
)

FRAMES = 4
MESSAGES = FRAMES * (1 + 3 * len(AGENTS)) + 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("whole") / "bag")


@pytest.fixture(scope="module")
def whole_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("whole") / "bag", storage="sqlite3")


@pytest.fixture
def copy(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bag"))


def contents(bag: Bag) -> list[tuple[str, int, bytes]]:
    return [(m.topic, m.log_ns, m.raw) for m in bag.messages()]


def read(path: Path) -> tuple[list[tuple[str, int, bytes]], list[str]]:
    with open_bag(path) as bag:
        return contents(bag), bag.damage


def test_reads_what_an_independent_reader_reads(whole: Path, whole_sqlite: Path) -> None:
    for folder in (whole, whole_sqlite):
        ours, damage = read(folder)
        with AnyReader([folder], default_typestore=typestore()) as reader:
            theirs = [(c.topic, t, bytes(raw)) for c, t, raw in reader.messages()]
        assert sorted(ours) == sorted(theirs) and len(ours) == MESSAGES and damage == []
        assert [t for _, t, _ in ours] == sorted(t for _, t, _ in ours)


def test_mcap_and_sqlite_hold_the_same(whole: Path, whole_sqlite: Path) -> None:
    assert sorted(read(whole)[0]) == sorted(read(whole_sqlite)[0])


def test_topics_can_be_chosen_and_messages_decoded(whole: Path) -> None:
    with open_bag(whole) as bag:
        poses = [bag.decode(m) for m in bag.messages(["/uav2/pose"])]
        assert len(poses) == FRAMES and poses[0].header.frame_id == "map"
        assert bag.topics["/uav1/camera/image_raw"].messages == FRAMES
        assert bag.types.differences == []


def test_a_bag_without_metadata_is_read_from_its_file(copy: Path) -> None:
    (copy / "metadata.yaml").unlink()
    messages, damage = read(copy)
    assert len(messages) == MESSAGES and any("metadata.yaml: is missing" in d for d in damage)


@pytest.mark.parametrize(
    "text", ["", "[1, 2", "rosbag2_bagfile_information: 3", "a: {relative_file_paths: []}"]
)
def test_a_broken_metadata_file_is_named_and_not_needed(copy: Path, text: str) -> None:
    (copy / "metadata.yaml").write_text(text)
    messages, damage = read(copy)
    assert len(messages) == MESSAGES and any("metadata.yaml: cannot be used" in d for d in damage)


def test_metadata_cannot_make_us_read_other_files(copy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.mcap"
    shutil.copy(only_file(copy), outside)
    text = (copy / "metadata.yaml").read_text().replace(only_file(copy).name, "../outside.mcap")
    (copy / "metadata.yaml").write_text(text)
    assert any("outside.mcap: is missing" in d for d in read(copy)[1])


def test_a_file_cut_off_gives_everything_before_the_cut(copy: Path, whole: Path) -> None:
    file = only_file(copy)
    everything, raw = read(whole)[0], file.read_bytes()
    counts = []
    for share in (0.95, 0.6, 0.3):
        file.write_bytes(raw[: int(len(raw) * share)])
        messages, damage = read(copy)
        assert set(messages) <= set(everything) and damage
        counts.append(len(messages))
    assert counts == sorted(counts, reverse=True) and counts[0] > 0 and counts[1] > MESSAGES // 3


def test_a_flipped_bit_costs_one_chunk_at_most(copy: Path, whole: Path) -> None:
    file = only_file(copy)
    raw = bytearray(file.read_bytes())
    with open_bag(whole) as bag:
        place = bag._files[0].chunks[1]  # type: ignore[union-attr]
    raw[place.offset + place.length // 2] ^= 0xFF
    raw[place.offset + 9 + 28 + 20] ^= 0xFF
    file.write_bytes(bytes(raw))
    messages, damage = read(copy)
    assert MESSAGES * 0.6 < len(messages) < MESSAGES
    assert any(f"chunk at byte {place.offset}" in d for d in damage)


def test_a_wrong_checksum_leaves_the_chunk_out(tmp_path: Path, whole: Path) -> None:
    data = chunk_record([message_record(0, 5, b"\0\1\0\0abcd")], crc=12345)
    path = tmp_path / "one.mcap"
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + data)
    with open_bag_anyway(path) as bag:
        assert list(bag.messages()) == [] and any("checksum is wrong" in d for d in bag.damage)


def test_a_damaged_length_in_the_middle_is_leapt_over(copy: Path) -> None:
    file = only_file(copy)
    raw = bytearray(file.read_bytes())
    with open_bag(copy) as bag:
        place = bag._files[0].chunks[1]  # type: ignore[union-attr]
    raw[place.offset + 1 : place.offset + 9] = b"\xff" * 8
    file.write_bytes(bytes(raw[: int(len(raw) * 0.9)]))  # and without the summary that would know better
    messages, damage = read(copy)
    assert len(messages) >= MESSAGES * 0.4 and any("damaged and left out" in d for d in damage)


def test_split_bags_are_one_bag_and_a_missing_file_is_named(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", max_bytes=60_000)
    files = sorted(bag.glob("*.mcap"))
    assert len(files) >= 3 and len(read(bag)[0]) == MESSAGES and read(bag)[1] == []
    files[1].unlink()
    messages, damage = read(bag)
    assert 0 < len(messages) < MESSAGES and any(files[1].name in d and "missing" in d for d in damage)


def test_a_killed_recorder_leaves_a_readable_bag(tmp_path: Path) -> None:
    for storage in ("mcap", "sqlite3"):
        writer = BagWriter(tmp_path / storage, storage=storage)
        for k in range(5):
            writer.write("/a/pose", "geometry_msgs/msg/Point", k, b"\0\1\0\0" + bytes(24))
        writer.flush()
        messages, damage = read(tmp_path / storage)  # the writer is still open: nothing was finished
        assert len(messages) == 5 and damage
        writer.close()
        assert read(tmp_path / storage) == (messages, [])


def test_an_existing_folder_is_refused(whole: Path) -> None:
    with pytest.raises(BagError, match="exists already"):
        BagWriter(whole)


def test_compressed_files_and_messages_are_read(tmp_path: Path) -> None:
    raw = typestore().serialize_cdr(
        typestore().types["geometry_msgs/msg/Point"](1.0, 2.0, 3.0), "geometry_msgs/msg/Point"
    )
    for mode in (CompressionMode.FILE, CompressionMode.MESSAGE, CompressionMode.STORAGE):
        for plugin in (StoragePlugin.MCAP, StoragePlugin.SQLITE3):
            if (mode, plugin) == (CompressionMode.STORAGE, StoragePlugin.SQLITE3):
                continue
            writer = Writer(tmp_path / f"{mode.name}{plugin.name}", version=9, storage_plugin=plugin)
            writer.set_compression(mode, CompressionFormat.ZSTD)
            with writer:
                topic = writer.add_connection("/p", "geometry_msgs/msg/Point", typestore=typestore())
                for k in range(3):
                    writer.write(topic, k, bytes(raw))
            with open_bag(writer.path) as bag:
                assert [bag.decode(m).y for m in bag.messages()] == [2.0] * 3 and bag.damage == []


def test_a_truncated_database_gives_what_is_left(tmp_path: Path, whole_sqlite: Path) -> None:
    everything = set(read(whole_sqlite)[0])
    raw = only_file(whole_sqlite, ".db3").read_bytes()
    best = 0
    for share in (0.9, 0.6, 0.3):
        path = tmp_path / f"{share}.db3"
        path.write_bytes(raw[: int(len(raw) * share)])
        try:
            messages, damage = read(path)
        except BagError:
            continue
        assert set(messages) <= everything and damage
        best = max(best, len(messages))
    assert best > MESSAGES // 2


def test_a_database_with_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db3"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE topics(id, name, type, serialization_format)")
    database.execute(
        "CREATE VIEW messages AS SELECT 1 AS id, 1 AS topic_id, 1 AS timestamp, randomblob(9) AS data"
    )
    database.commit()
    database.close()
    with pytest.raises(BagError, match="no rosbag2 database"):
        open_bag(path)


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3"])
@pytest.mark.parametrize("content", [b"", b"not a bag at all", rec.MAGIC], ids=["empty", "text", "magic"])
def test_files_that_are_no_bags_are_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match="nothing in it can be read"):
        open_bag(tmp_path / name)


def test_missing_places_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="does not exist"):
        open_bag(tmp_path / "nowhere")
    with pytest.raises(BagError, match="holds no bag file"):
        open_bag(tmp_path)
    (tmp_path / "x.txt").touch()
    with pytest.raises(BagError, match="is no bag file"):
        open_bag(tmp_path / "x.txt")


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    with pytest.raises(TooLarge):
        inflate(bomb, "zstd", 1 << 20)
    chunk = struct.pack("<QQQI", 0, 1, 1 << 62, 0) + text("zstd") + struct.pack("<Q", len(bomb)) + bomb
    path = tmp_path / "bomb.mcap"
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + record(rec.CHUNK, chunk))
    with open_bag_anyway(path) as bag:
        assert list(bag.messages()) == [] and any("the limit is" in d for d in bag.damage)


def test_messages_out_of_order_in_overlapping_chunks_come_in_order(tmp_path: Path) -> None:
    chunks = [
        chunk_record([message_record(0, t, b"\0\1\0\0abcd") for t in times])
        for times in ([10, 4, 30], [5, 20, 6], [1, 2, 3])
    ]
    path = tmp_path / "mixed.mcap"
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + b"".join(chunks))
    with open_bag(path) as bag:
        assert [m.log_ns for m in bag.messages()] == [1, 2, 3, 4, 5, 6, 10, 20, 30]
    with open_bag(
        path, Limits(open_bytes=1)
    ) as bag:  # with no room for two chunks the order is not kept, and named
        assert sorted(m.log_ns for m in bag.messages()) == [1, 2, 3, 4, 5, 6, 10, 20, 30]
        assert any("overlap in time" in d for d in bag.damage)


def test_chunks_are_opened_only_when_their_time_has_come() -> None:
    opened: list[int] = []

    def stream(start: int) -> Stream:
        def messages() -> Iterator[tuple[str, str, Record]]:
            opened.append(start)
            yield from (("/t", "T", Record(t, 0, b"")) for t in range(start, start + 10))

        return Stream(start, 100, messages)

    seen = []
    for _, _, found in merge([stream(s) for s in (20, 0, 10, 5)], 10_000, lambda: None):
        assert all(start <= found.log_ns for start in opened)
        seen.append(found.log_ns)
    assert seen == sorted(seen) and len(seen) == 40 and opened == [0, 5, 10, 20]


def test_messages_outside_chunks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "loose.mcap"
    loose = b"".join(message_record(0, t, b"\0\1\0\0abcd") for t in (3, 1, 2))
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + loose)
    with open_bag(path) as bag:
        assert [m.log_ns for m in bag.messages()] == [1, 2, 3]


def test_a_time_that_no_clock_shows_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "time.mcap"
    loose = b"".join(message_record(0, t, b"\0\1\0\0abcd") for t in (3, 2**64 - 1, 2))
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + loose)
    with open_bag(path) as bag:
        assert [m.log_ns for m in bag.messages()] == [2, 3] and any("a log time of" in d for d in bag.damage)


def test_another_definition_of_a_type_is_named_and_used(tmp_path: Path) -> None:
    path = tmp_path / "other.mcap"
    definition = "float64 x\nfloat64 y\nfloat64 z\nfloat64 w"
    path.write_bytes(
        rec.MAGIC
        + header_record()
        + channel_records("geometry_msgs/msg/Point", definition)
        + message_record(0, 1, b"\0\1\0\0" + struct.pack("<4d", 1, 2, 3, 4))
    )
    with open_bag(path) as bag:
        (message,) = bag.messages()
        assert bag.decode(message).w == 4.0
        assert bag.types.differences == [
            "geometry_msgs/msg/Point differs from ours (geometry_msgs/msg/Point has `w`): it is read by the bag's "
            "definition"
        ]


@pytest.mark.parametrize(
    "definition",
    [
        "float64 import",
        'string X=\'"""; raise SystemExit\'\nfloat64 import',
        "garbage !!",
        "Other[] x",
        "x" * 3000,
    ],
)
def test_a_definition_cannot_smuggle_code_in(tmp_path: Path, definition: str) -> None:
    path = tmp_path / "evil.mcap"
    content = channel_records("evil_msgs/msg/Thing", definition) + message_record(
        0, 1, b"\0\1\0\0" + bytes(8)
    )
    path.write_bytes(rec.MAGIC + header_record() + content)
    with open_bag(path) as bag:
        (message,) = bag.messages()
        with pytest.raises(MessageError):
            bag.decode(message)


def test_constants_in_definitions_are_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "constant.mcap"
    definition = "string DOOR=\"__import__('os')._exit(7)\"\nint32 a"
    content = channel_records("evil_msgs/msg/Thing", definition) + message_record(
        0, 1, b"\0\1\0\0" + b"\5\0\0\0"
    )
    path.write_bytes(rec.MAGIC + header_record() + content)
    with open_bag(path) as bag:
        (message,) = bag.messages()
        assert bag.decode(message).a == 5


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_makes_the_reader_fail_in_another_way(
    tmp_path: Path, whole: Path, data: st.DataObject
) -> None:
    raw = bytearray(only_file(whole).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(1, 9))] = data.draw(st.binary(min_size=0, max_size=9))
    path = tmp_path / "fuzz.mcap"
    path.write_bytes(bytes(raw[: data.draw(st.integers(1, len(raw)))]))
    survives(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_makes_the_database_reader_fail_in_another_way(
    tmp_path: Path, whole_sqlite: Path, data: st.DataObject
) -> None:
    raw = bytearray(only_file(whole_sqlite, ".db3").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(raw), 16_384) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "fuzz.db3"
    path.write_bytes(bytes(raw[: data.draw(st.integers(len(raw) // 4, len(raw)))]))
    survives(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=400))
def test_random_records_are_survived(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "random.mcap"
    path.write_bytes(rec.MAGIC + header_record() + channel_records() + tail)
    survives(path)


def survives(path: Path) -> None:
    try:
        bag = open_bag(path)
    except BagError:
        return
    with bag:
        for message in bag.messages():
            with contextlib.suppress(MessageError):
                bag.decode(message)
        json.dumps(bag_info(bag, default_map()), allow_nan=False)

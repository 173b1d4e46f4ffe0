"""`rsdfm wire inspect` on bags: packets as receivers see them, within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rsdfm_ros import cli
from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.types import message_folder, typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.wire.packet import encode_frame
from support.wire_frames import feature_frame

TYPE = "rsdfm_ros/msg/FeaturePacket"


def message(payload: bytes, agent: str = "uav1", frame: int = 0, covariance: float = 1e-4) -> bytes:
    return feature_message(
        payload,
        agent=agent,
        stamp_ns=10_500_000_000,
        frame=frame,
        index=0,
        count=1,
        fingerprint=9,
        T_map_camera=np.eye(4),
        covariance=np.eye(6) * covariance,
    )


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Three good packets of uav1; damaged bytes, no message at all, and a covariance that is none, of uav2."""
    (good,) = encode_frame(feature_frame(3, tiles=4, cells=30), fingerprint=9)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    raws = [message(good, frame=k) for k in range(3)]
    others = [message(bad, "uav2"), b"\0\1\0\0 what", message(good, "uav2", covariance=-1.0)]
    with BagWriter(tmp_path / "bag") as writer:
        for k, raw in enumerate(raws):
            writer.write("/uav1/bev/features", TYPE, k + 1, raw)
        for k, raw in enumerate(others):
            writer.write("/uav2/bev/features", TYPE, k + 4, raw)
        writer.write("/chatter", "std_msgs/msg/String", 9, b"\0\1\0\0\1\0\0\0\0")
    return tmp_path / "bag"


def inspected(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = cli.main(["wire", "inspect", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_packets_of_a_bag_come_with_their_messages(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = inspected(capsys, bag, "--json", "--topic", "/uav1/bev/features")
    found = json.loads(out)
    assert status == 0 and not found["more"] and found["damage"] == []
    assert [p["message"]["frame"] for p in found["packets"]] == [0, 1, 2]
    first = found["packets"][0]
    assert first["topic"] == "/uav1/bev/features" and first["log_ns"] == 1
    assert first["message"]["agent"] == "uav1" and first["message"]["stamp_ns"] == 10_500_000_000
    assert first["content"]["sent_cells"] == 30 and first["message_bytes"] > first["bytes"]


def test_what_a_receiver_would_refuse_is_named(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = inspected(capsys, bag, "--json", "--topic", "/uav2/bev/features")
    reasons = [p["error"]["reason"] for p in json.loads(out)["packets"]]
    assert status == 1 and reasons == ["checksum_mismatch", "broken_message", "covariance_invalid"]


def test_messages_of_another_definition_are_refused_as_such(
    bag: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for strange in (SimpleNamespace(agent="uav1"), SimpleNamespace(payload="text")):
        monkeypatch.setattr(Bag, "decode", lambda self, raw, s=strange: s)
        status, out, _ = inspected(capsys, bag, "--json", "--packets", "1")
        assert status == 1 and json.loads(out)["packets"][0]["error"]["reason"] == "other_definition"


def test_packets_of_the_former_definition_are_named_in_bags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Definition 1 had the covariance as float64[36]: the bag brings that definition with it."""
    text = (message_folder() / "FeaturePacket.msg").read_text()
    former = get_typestore(Stores.ROS2_JAZZY)
    former.register(
        get_types_from_msg(text.replace("float32[21] covariance", "float64[36] covariance"), TYPE)
    )
    (good,) = encode_frame(feature_frame(3, tiles=4, cells=30), fingerprint=9)
    now = typestore().deserialize_cdr(message(good), TYPE)
    fields = {name: getattr(now, name) for name in now.__dataclass_fields__ if name != "__msgtype__"}
    then = former.types[TYPE](**fields | {"covariance": np.zeros(36)})
    with BagWriter(tmp_path / "bag") as writer:
        writer.add("/uav1/bev/features", TYPE, former)
        writer.write("/uav1/bev/features", TYPE, 1, former.serialize_cdr(then, TYPE))
    status, out, _ = inspected(capsys, tmp_path / "bag", "--json")
    (packet,) = json.loads(out)["packets"]
    assert status == 1 and packet["error"]["reason"] == "other_definition"
    assert "36 numbers, expected the 21" in packet["error"]["text"]


def test_the_table_has_a_row_per_packet_and_stops_where_it_is_told(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = inspected(capsys, bag, "--packets", "4")
    assert status == 1 and "4 packets, 3 of them good" in out and "there are more (--packets)" in out
    assert out.count("/uav1/bev/features") == 3 and "checksum_mismatch" in out
    status, out, _ = inspected(capsys, bag, "--packets", "1")
    assert status == 0 and "content.sent_cells          30" in out


def test_topics_without_packets_and_impossible_numbers_are_refused(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = inspected(capsys, bag, "--topic", "/chatter")
    assert status == 2 and "does not have /chatter" in err and "/uav2/bev/features" in err
    status, _, err = inspected(capsys, bag, "--packets", "0")
    assert status == 2 and "--packets 0 is out of range" in err


def test_control_characters_of_strangers_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = encode_frame(feature_frame(3, tiles=4, cells=30), fingerprint=9)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/a/bev/features", TYPE, 1, message(good, "uav\x1b[2J"))
    status, out, _ = inspected(capsys, tmp_path / "bag")
    assert status == 0 and "\x1b" not in out and "uav?[2J" in out

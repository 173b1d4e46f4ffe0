"""H.264 and H.265 as images: from a key frame on, errors counted, a slow decoder goes on at the next key frame."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("av")

from rsdfm_ros.data.messages.compressed import image_from_compressed
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.video import queue as queues
from rsdfm_ros.data.messages.video.packets import codec_of
from rsdfm_ros.data.messages.video.queue import VideoQueue
from rsdfm_ros.data.messages.video.stream import VideoStream
from rsdfm_ros.errors import RsdfmError
from support.input_bench import Bench, ms
from support.input_messages import compressed, info
from support.videos import as_compressed, as_foxglove, as_image, packets, picture

K = np.array([[70.0, 0, 47.5], [0, 70.0, 31.5], [0, 0, 1]])
FORMS = {
    "compressed": lambda data, codec, ns: as_compressed(data, codec, ns),
    "image": lambda data, codec, ns: as_image(data, codec, ns),
    "foxglove": lambda data, codec, ns: as_foxglove(data, codec.replace("hevc", "h265"), ns),
}


@pytest.fixture(scope="module", params=["h264", "hevc"])
def video(request: pytest.FixtureRequest) -> tuple[str, list[bytes]]:
    return request.param, packets(request.param)


def bench() -> Bench:
    b = Bench()
    b.inputs.add_info(0, info(K, (64, 96)))
    for k in range(0, 3001, 100):
        b.pose(k)
    return b


def fed(
    b: Bench, video: tuple[str, list[bytes]], form: str = "compressed", first: int = 0
) -> dict[int, np.ndarray]:
    """Image by its number, at 10 Hz."""
    codec, data = video
    out = {}
    for n, packet in enumerate(data):
        if n >= first:
            for matched in b.inputs.add_image(0, FORMS[form](packet, codec, ms(100 * n)), n / 10):
                for view in b.inputs.views(matched):
                    out[round((matched.stamp_ns - ms(0)) / 1e8)] = view.image
    return out


def near(image: np.ndarray, n: int) -> bool:
    return float(np.abs(image.astype(int) - picture(n)).mean()) < 6


@pytest.mark.parametrize("form", FORMS)
def test_every_image_comes_with_its_own_stamp(video: tuple[str, list[bytes]], form: str) -> None:
    b = bench()
    images = fed(b, video, form)
    assert sorted(images) == list(range(20)) and not b.refused
    assert all(near(image, n) for n, image in images.items())
    assert not near(images[0], 10)


def test_decoding_begins_at_a_key_frame(video: tuple[str, list[bytes]]) -> None:
    b = bench()
    images = fed(b, video, first=3)
    assert sorted(images) == list(range(8, 20)) and b.refused == {"video_key_frame": 5}
    assert near(images[8], 8)


def test_damage_is_counted_and_the_next_key_frame_is_used(video: tuple[str, list[bytes]]) -> None:
    codec, data = video
    hurt = list(data)
    hurt[3] = hurt[3][:5] + bytes(255 for _ in hurt[3][5:])
    b = bench()
    images = fed(b, (codec, hurt))
    assert b.refused["video"] == 1 and b.refused["video_key_frame"] >= 3
    assert all(near(image, n) for n, image in images.items()) and set(range(8, 20)) <= set(images)


def test_what_is_no_stream_is_refused_and_survived(video: tuple[str, list[bytes]]) -> None:
    codec, data = video
    b = bench()
    rng = np.random.default_rng(3)
    for n in range(50):
        junk = b"\x00\x00\x00\x01" + rng.bytes(n)
        assert b.inputs.add_image(0, as_compressed(junk, codec, ms(n)), 0.0) == []
    b.inputs.add_image(0, as_compressed(len(data[0]).to_bytes(4, "big") + data[0][4:], codec, ms(60)), 0.0)
    assert "Annex B" in b.sentences[-1]
    assert b.refused["video"] >= 1 and b.refused["video_key_frame"] >= 10
    assert sorted(fed(b, video)) == list(range(20))


def test_a_queue_that_falls_behind_goes_on_at_a_key_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MAX_WAITING", 4)
    refused: Counter[str] = Counter()
    gate, free = threading.Event(), VideoStream.decoded

    def slow(self: VideoStream, packet: object) -> list:
        assert gate.wait(60)
        return free(self, packet)

    monkeypatch.setattr(VideoStream, "decoded", slow)
    queue = VideoQueue(lambda reason, text: refused.update([reason]))
    done = []
    for n, packet in enumerate(packets("h264", 20, gop=8)):
        queue.put(as_compressed(packet, "h264", ms(100 * n)), n)
    gate.set()
    deadline = threading.Event()
    for _ in range(6000):
        done += [arrived for _, arrived in queue.take()]
        if done and done[-1] == 19:
            break
        deadline.wait(0.01)
    queue.close()
    assert refused["video_behind"] > 0 and "video" not in refused
    assert 19 in done and not {6, 7} & set(done)  # dropped up to the key frame


def test_names_of_codecs_as_senders_write_them() -> None:
    for said, codec in {
        "h264": "h264",
        "H.264": "h264",
        "libx264": "h264",
        "h264_vaapi": "h264",
        "hevc": "hevc",
        "h265": "hevc",
        "hevc_nvenc": "hevc",
        "rgb8; jpeg compressed bgr8": None,
        "png": None,
        "": None,
    }.items():
        assert codec_of(compressed(b"", said)) == codec, said


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RsdfmError, match="pip install av"):
        bench().inputs.add_image(0, as_compressed(b"\x00\x00\x01\x65\x88", "h264", ms(0)), 0.0)


def test_still_images_in_other_formats_are_refused_by_name() -> None:
    ok, webp = cv2.imencode(".webp", picture(0))
    assert ok
    for data, name in ((webp.tobytes(), "WebP"), (b"\x00\x00\x00\x20ftypavif" + bytes(40), "AVIF")):
        with pytest.raises(MessageError, match=f"got a {name} file"):
            image_from_compressed(compressed(data, name.lower()))


def test_a_video_in_a_bag_is_evaluated_like_images(tmp_path: Path) -> None:
    from rsdfm_ros.data.bags.bag import open_bag
    from rsdfm_ros.data.bags.sensors import Sensors
    from rsdfm_ros.data.bags.topic_map import default_map
    from support.bag_data import make_bag
    from support.video_bags import with_video

    path = with_video(make_bag(tmp_path / "images"), tmp_path / "video")
    with open_bag(path) as bag:
        sensors = Sensors(bag, default_map())
        seen = [
            (uav, sensors.input_of(uav).views(m)[0].image.shape)
            for instant in sensors.instants()
            for uav, m in instant.images.items()
        ]
    assert len(seen) == 8 and {shape for _, shape in seen} == {(64, 96, 3)} and not sensors.rejects

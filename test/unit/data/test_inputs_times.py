"""The time of an image: its stamp or its arrival, corrected by an offset per camera."""

from __future__ import annotations

import pytest

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.input_config import InputConfig
from support.input_bench import SIZE, TWO, Bench, K, ms, stamps
from support.input_messages import info, rgb


def flown(**given: object) -> Bench:
    b = Bench(**given)
    b.infos()
    for k in range(0, 401, 50):
        b.pose(k, x=k / 100)
    return b


def test_an_offset_moves_the_image_to_the_pose_of_its_exposure() -> None:
    b = flown(image_time_offset_s=(0.04,))
    (matched,) = b.image(100)
    (view,) = b.inputs.views(matched)
    assert stamps([matched]) == [140.0] and view.T_map_camera[0, 3] == pytest.approx(1.4)


def test_each_camera_has_its_own_offset() -> None:
    b = flown(**TWO, image_time_offset_s=(0.03, -0.03))
    assert b.image(100, camera=0) == []
    (matched,) = b.image(160, camera=1)
    assert [p.image.stamp_ns for p in matched.images] == [ms(130), ms(130)]


def test_the_camera_info_of_an_image_is_found_in_spite_of_an_offset() -> None:
    """A zoom: each image has a camera_info of its own stamp, which has no offset."""
    b = flown(image_time_offset_s=(0.04,))
    zoom = K.copy()
    zoom[0, 0] = zoom[1, 1] = 20.0
    b.inputs.add_info(0, info(zoom, SIZE, ns=ms(100)))
    b.inputs.add_info(0, info(K, SIZE, ns=ms(200)))
    (matched,) = b.image(100)
    assert b.inputs.views(matched)[0].K[0, 0] == 20.0


def test_images_without_stamps_count_from_their_arrival() -> None:
    b = flown(stamp_source="arrival", image_time_offset_s=(-0.1,))
    message = rgb(0, 7, SIZE, "cam0")
    (matched,) = b.inputs.add_image(0, message, 5.0, ms(250))
    assert stamps([matched]) == [150.0] and not b.refused
    assert b.inputs.add_image(0, message, 5.1, 0) == [] and b.refused == {"stamp_zero": 1}


def test_a_zero_stamp_is_refused_unless_arrival_is_asked_for() -> None:
    b = flown()
    assert b.inputs.add_image(0, rgb(0, 7, SIZE), 5.0, ms(250)) == []
    assert b.refused == {"stamp_zero": 1} and "stamp_source" in b.sentences[0]


@pytest.mark.parametrize(
    "given",
    [{"image_time_offset_s": (0.1, 0.2)}, {"image_time_offset_s": (11.0,)}, {"stamp_source": "now"}],
)
def test_impossible_settings_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(MessageError, match=next(iter(given))):
        InputConfig(**given).checked()

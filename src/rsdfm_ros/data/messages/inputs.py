"""The inputs of one UAV: messages in any order in, matched and decoded camera views out. Free of ROS.

    inputs = Inputs(InputConfig(...), reject)
    inputs.add_info(0, camera_info), inputs.add_pose(pose)     # give what waited for them, as the next line
    for matched in inputs.add_image(0, image, arrived_s):      # cheap: in the thread that receives
        views = inputs.views(matched)                          # decodes and rectifies: in the thread that computes

`reject(reason, sentence)` is called for everything that is left out; no message raises an error here. `doubt(kind,
sentence)` is called for what is used and looks wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.camera_infos import CameraInfos
from rsdfm_ros.data.messages.camera_poses import CameraPoses
from rsdfm_ros.data.messages.cameras import MAX_COEFFICIENTS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.world import GeoOrigin
from rsdfm_ros.data.messages.groups import CameraImage, Group, Grouper, PosedImage
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.timing.image_times import ImageTimes
from rsdfm_ros.data.messages.video.packets import codec_of
from rsdfm_ros.data.messages.video.stream import VideoStream
from rsdfm_ros.data.messages.views.decoding import ViewDecoder

#: Groups that wait for a pose or for camera_info, the oldest of which is dropped first: so many whatever their age, and
#: more within pose_wait_s, as long as they are few enough and small.
LEAST_WAITING, MAX_WAITING = 6, 128
MAX_WAITING_BYTES = 128 << 20
_MAX_SENTENCE = 600
_MAX_TRANSFORMS = 1000


@dataclass(frozen=True)
class Matched:
    """The images of one instant, at least one; stamp_ns rises from one to the next. arrived_s: of the first."""

    stamp_ns: int
    images: tuple[PosedImage, ...]
    arrived_s: float


class Inputs:
    """Matches images, camera_info and poses of one UAV; see the head of this module.

    An image waits until there is a pose at or after its stamp, so that poses are interpolated and never extrapolated,
    and for the first camera_info, which may come later than an image that was sent after it. Where every image has a
    camera_info of its own, it waits for that up to camera_wait_s: many drivers publish it after the image.
    """

    def __init__(
        self,
        config: InputConfig,
        reject: Callable[[str, str], None],
        doubt: Callable[[str, str], object] = lambda kind, text: None,
    ) -> None:
        """Raises: MessageError for a configuration that contradicts itself."""
        self.config = config.checked()
        self._tell = reject
        self._poses = CameraPoses(config)
        n = len(config.cameras)
        self._times = ImageTimes(config.stamp_source, config.image_time_offset_s, n)
        self._together_ns = round(config.camera_tolerance_s * 1e9)
        self._grouper = Grouper(n, self._together_ns, config.camera_wait_s)
        self._infos = [CameraInfos() for _ in config.cameras]
        self._wait_ns = round(config.pose_wait_s * 1e9)
        self._info_wait_ns = round(config.camera_wait_s * 1e9)
        self._now_s = -math.inf
        self._last_ns = [-1] * n
        self._waiting: list[Group] = []
        self._newest_ns = -1
        self._decoder = ViewDecoder(config, doubt)
        self._videos = [VideoStream(self._reject) for _ in config.cameras]

    def clear(self) -> None:
        """Forget everything that has a stamp, after the clock jumped back; camera_info stays."""
        self._poses.clear()
        self._forget_images()

    def add_info(self, camera: int, message: Any) -> list[Matched]:
        """Take a CameraInfo; an image uses the one of its own stamp, else the newest."""
        if len(message.d) > MAX_COEFFICIENTS:
            self._reject("camera_model", f"camera_info with {len(message.d)} distortion coefficients")
            return []
        self._infos[camera].add(message)
        return self._match()

    def add_image(self, camera: int, message: Any, arrived_s: float, arrived_ns: int = 0) -> list[Matched]:
        """Take an Image, CompressedImage or message of video. arrived_s: now, of the steady clock (of the recording,
        for a bag); arrived_ns: of the clock that stamps are of, for stamp_source arrival. A message of video gives
        the images that are decoded with it. Raises: RsdfmError for video where PyAV is missing."""
        if codec_of(message) is not None:
            images = self._videos[camera].images(message)
            return [m for one in images for m in self.add_image(camera, one, arrived_s, arrived_ns)]
        try:
            stamp = self._times.exposed_ns(camera, message, arrived_ns)
        except MessageError as error:
            self._reject(error.reason, str(error))
            return []
        if stamp == self._last_ns[camera]:
            self._reject("image_repeated", f"a second image of {stamp} ns by {self.config.cameras[camera]}")
            return []
        self._last_ns[camera] = stamp
        info_ns = self._times.info_ns(camera, message, stamp)
        self._infos[camera].expect(info_ns)
        self._now_s = max(self._now_s, arrived_s)
        return self._wait(self._grouper.add(CameraImage(camera, stamp, message, arrived_s, info_ns)))

    @property
    def waiting(self) -> bool:
        """Whether an image waits for a pose or camera_info."""
        return bool(self._waiting)

    def add_pose(self, message: Any) -> list[Matched]:
        """Take a message of the pose topic, of the type that belongs to pose_type; for geo, a fix."""
        return self._take_pose(self._poses.add_pose, message)

    def add_attitude(self, message: Any) -> list[Matched]:
        """Take a message of the attitude topic, of the type that belongs to geo_attitude_type."""
        return self._take_pose(self._poses.add_attitude, message)

    def set_geo_origin(self, origin: GeoOrigin) -> list[Matched]:
        """Place the world frame of pose_type geo."""
        self._restarted(self._poses.set_geo_origin(origin))
        return self._match()

    def add_transforms(self, message: Any, *, fixed: bool) -> list[Matched]:
        """Take a TFMessage of /tf, or of /tf_static (fixed)."""
        if len(message.transforms) > _MAX_TRANSFORMS:
            self._reject("transform", f"{len(message.transforms)} transforms in one message")
            return []
        for one in message.transforms:
            try:
                self._poses.add_transform(one, fixed=fixed)
            except MessageError as error:
                # Publishers of /tf repeat transforms: that is not an error.
                if error.reason != "pose_repeated":
                    self._reject(error.reason, str(error))
        return self._match()

    def due(self, now_s: float) -> list[Matched]:
        """Groups that need not wait for a missing camera or camera_info any longer at `now_s`; call it often where
        there are several cameras."""
        self._now_s = max(self._now_s, now_s)
        return self._wait(self._grouper.due(now_s))

    def camera_pose(self, image: CameraImage, stamp_ns: int) -> NDArray[np.float64] | None:
        """T_map_camera (4, 4) of the camera of an image at another time; None while it is not known yet. Raises:
        MessageError `no_pose` where it never will be."""
        frame = self._frame(image)
        return self._poses.at(image.camera, frame, stamp_ns).T if self._poses.ready(frame, stamp_ns) else None

    def views(self, matched: Matched) -> tuple[CameraView, ...]:
        """The decoded, rectified views that are usable, in the order of the cameras; maybe none."""
        views = []
        for posed in matched.images:
            try:
                views.append(self._decoder.view(posed))
            except MessageError as error:
                self._reject(error.reason, str(error))
        return tuple(views)

    def _reject(self, reason: str, text: str) -> None:
        # Sentences quote untrusted names and values.
        self._tell(reason, text if len(text) <= _MAX_SENTENCE else text[:_MAX_SENTENCE] + " …")

    # --- matching -------------------------------------------------------------------------------------------------

    def _wait(self, groups: list[Group]) -> list[Matched]:
        self._waiting.extend(groups)
        matched = self._match()
        while self._crowded():
            group = self._waiting.pop(0)
            if self._known(group):
                missing = self._poses.missing(self._frame(group.images[0]))
                self._reject("no_pose", f"image of {group.stamp_ns} ns: {missing}")
            else:
                self._reject("no_camera_info", f"image of {group.stamp_ns} ns: no camera_info has come yet")
        return matched

    def _crowded(self) -> bool:
        """Whether the oldest group that waits must make room."""
        number = len(self._waiting)
        if number <= LEAST_WAITING:
            return False
        if number > MAX_WAITING or self._waiting[-1].stamp_ns - self._waiting[0].stamp_ns > self._wait_ns:
            return True
        return sum(len(p.message.data) for g in self._waiting for p in g.images) > MAX_WAITING_BYTES

    def _match(self) -> list[Matched]:
        matched, waiting = [], []
        for group in self._waiting:
            if not self._ready(group):
                waiting.append(group)
            elif (one := self._matched(group)) is not None:
                matched.append(one)
        self._waiting = waiting
        return matched

    def _known(self, group: Group) -> bool:
        """Whether there is a camera_info for an image of the group; the others are left out then."""
        return any(self._infos[p.camera] for p in group.images)

    def _ready(self, group: Group) -> bool:
        try:
            return self._known(group) and all(
                self._poses.ready(self._frame(p), p.stamp_ns) and self._informed(p) for p in group.images
            )
        except MessageError as error:  # a loop in TF
            self._reject(error.reason, str(error))
            return False

    def _informed(self, image: CameraImage) -> bool:
        """Whether an image need not wait for a camera_info of its own any longer."""
        infos = self._infos[image.camera]
        if not infos or infos.ready(image.info_ns):  # without any it is left out
            return True
        late_ns = image.stamp_ns + self._info_wait_ns
        late = self._now_s - image.arrived_s >= self.config.camera_wait_s
        late = late or self._last_ns[image.camera] >= late_ns
        if not late and not self._poses.ready(self._frame(image), late_ns):
            return False
        infos.give_up()
        return True

    def _matched(self, group: Group) -> Matched | None:
        images = []
        for image in group.images:
            try:
                images.append(self._posed(image))
            except MessageError as error:
                self._reject(error.reason, str(error))
        if not images:
            return None
        stamp = images[0].image.stamp_ns
        if stamp <= self._newest_ns:
            self._reject("old_stamp", f"image of {stamp} ns after one of {self._newest_ns} ns")
            return None
        if len(self.config.cameras) > 1 and stamp <= self._newest_ns + self._together_ns:
            # Its group was returned without it: a second map of one instant would break the counting of frames.
            name = self.config.cameras[images[0].image.camera]
            self._reject(
                "camera_late", f"{name} came after the other images of {self._newest_ns} ns were used"
            )
            return None
        self._newest_ns = stamp
        return Matched(stamp, tuple(images), group.arrived_s)

    def _posed(self, image: CameraImage) -> PosedImage:
        infos = self._infos[image.camera]
        if not infos:
            name = self.config.cameras[image.camera]
            raise MessageError("no_camera_info", f"an image of {name} but no camera_info yet")
        info = infos.of(image.info_ns)
        return PosedImage(image, info, self._poses.at(image.camera, self._frame(image), image.stamp_ns))

    def _frame(self, image: CameraImage) -> str:
        frames = self.config.camera_frames
        return frames[image.camera] if frames else str(image.message.header.frame_id)

    def _take_pose(self, add: Callable[[Any], bool], message: Any) -> list[Matched]:
        try:
            self._restarted(add(message))
        except MessageError as error:
            self._reject(error.reason, str(error))
        return self._match()

    def _restarted(self, forgotten: bool) -> None:
        """Handle a restart of the pose source: if it is in the past, older images are accepted again."""
        if forgotten:
            self._reject("pose_restart", "the pose source starts anew at another place or time")
            self._newest_ns = -1

    def _forget_images(self) -> None:
        for video in self._videos:
            video.clear()
        self._grouper.clear()
        self._waiting = []
        self._last_ns = [-1] * len(self._last_ns)
        self._newest_ns, self._now_s = -1, -math.inf

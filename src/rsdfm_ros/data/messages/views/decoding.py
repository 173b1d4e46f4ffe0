"""Matched images of one UAV as decoded and rectified views. Free of ROS."""

from __future__ import annotations

from collections.abc import Callable

from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.compressed import image_from_compressed
from rsdfm_ros.data.messages.groups import PosedImage
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.views.rectify import Rectifier
from rsdfm_ros.geometry.rotations import transform


class ViewDecoder:
    """Decodes and rectifies the images of the cameras of a UAV. doubt: as in Inputs."""

    def __init__(self, config: InputConfig, doubt: Callable[[str, str], object]) -> None:
        self._config, self._doubt = config, doubt
        self._rectifiers = [
            Rectifier(
                rectified=config.images_rectified,
                scaling=config.camera_info_scaling,
                model=config.distortion_model,
            )
            for _ in config.cameras
        ]

    def view(self, posed: PosedImage) -> CameraView:
        """The view of one image. Raises: MessageError by what is wrong with it."""
        message, config = posed.image.message, self._config
        decode = image_from_message if hasattr(message, "encoding") else image_from_compressed
        image = decode(message, config.significant_bits)
        rectified = self._rectifiers[posed.image.camera](image, posed.info)
        if rectified.doubt:
            self._doubt("principal_point", f"{config.cameras[posed.image.camera]}: {rectified.doubt}")
        T, covariance = posed.pose.T, posed.pose.covariance
        assert covariance is not None
        if config.images_rectified:
            T = T @ transform(rectified.R_optical_image, (0.0, 0.0, 0.0))
        return CameraView(config.agent, rectified.image, rectified.K, T, covariance)

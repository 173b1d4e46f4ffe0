"""MuJoCo's classic renderer without a display: an image, and geom and depth from one more pass."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.camera.culling import visible_geoms
from rsdfm_ros.sim.scene import Z_FAR_M, Scene

_HIDDEN_GROUP = 5
"""Group of geoms that the renderer leaves out."""


@dataclass(frozen=True)
class Raw:
    """Output of the renderer: image (H, W, 3) uint8 RGB, depth (H, W) m with 0 for the sky, geom (H, W) or -1."""

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    geom: NDArray[np.int64]


class Renderer:
    """Renders a model for cameras of one size; belongs to the thread that made it. Close it."""

    def __init__(self, scene: Scene, width_px: int, height_px: int) -> None:
        model = scene.model
        self._model, self._lowest_m, self._size = model, scene.lowest_m, (height_px, width_px)
        self._rect = mujoco.MjrRect(0, 0, width_px, height_px)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._option.geomgroup[_HIDDEN_GROUP] = 0
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._gl: mujoco.GLContext | None = mujoco.GLContext(width_px, height_px)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR.value
        self._near, self._far = (
            np.float32(v * model.stat.extent) for v in (model.vis.map.znear, model.vis.map.zfar)
        )

    def close(self) -> None:
        """Frees what the renderer holds."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def render(self, data: mujoco.MjData, camera: int, *, image: bool, depth: bool) -> Raw:
        """Render a camera of the model; image and depth are empty unless asked for."""
        assert self._gl is not None, "a closed renderer"
        self._gl.make_current()
        self._camera.fixedcamid = camera
        drawn = visible_geoms(self._model, data, camera, self._size, self._lowest_m)
        self._model.geom_group[:] = np.where(drawn, 0, _HIDDEN_GROUP)
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        pixels = np.zeros((*self._size, 3) if image else (0, 0, 3), np.uint8)
        if image:
            mujoco.mjr_render(self._rect, self._scene, self._context)
            mujoco.mjr_readPixels(pixels, None, self._rect, self._context)
        flags = self._scene.flags
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            flags[flag] = 1
        mujoco.mjr_render(self._rect, self._scene, self._context)
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            flags[flag] = 0
        numbers = np.empty((*self._size, 3), np.uint8)
        inverse = np.empty(self._size if depth else (0, 0), np.float32)
        mujoco.mjr_readPixels(numbers, inverse if depth else None, self._rect, self._context)
        return Raw(pixels[::-1], self._metres(inverse)[::-1], self._geoms(numbers)[::-1])

    def _geoms(self, numbers: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Geoms (H, W) from the colours of their numbers; -1 where there is none."""
        n = numbers[..., 0].astype(np.int64) + (numbers[..., 1].astype(np.int64) << 8)
        n += numbers[..., 2].astype(np.int64) << 16
        drawn = np.array([-1, *(g.objid for g in self._scene.geoms[: self._scene.ngeom])], np.int64)
        return drawn[n]

    def _metres(self, inverse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Depth along the optical axis from the reversed depth buffer, 0 beyond the far plane."""
        near, far = self._near, self._far
        c = np.float32(-0.5) * (-(far + near) / (far - near)) - np.float32(0.5)
        d = np.float32(-0.5) * (-(np.float32(2) * far * near) / (far - near))
        metres = (d / (inverse.astype(np.float64) + c)).astype(np.float32)
        metres[metres > 0.98 * Z_FAR_M] = 0.0
        return metres

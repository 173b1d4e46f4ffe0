"""The appearance that two back ends share leave the MuJoCo scene as the shipped weights have seen it."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.sim.appearance import FACADES, ROOFS, TREES, draw_appearance
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.layout import make_layout
from rsdfm_ros.sim.population import populate
from rsdfm_ros.sim.scene import build_scene

#: Of scenes compiled when the shipped weights were trained: direction and colour of the sun, colour of the sky, sum of
#: all colours of materials and of boxes, geoms, triangles, mean of every image (ground, facades).
SEEN = {
    11: (
        (0.111755, 0.699007, -0.706328), (0.7605, 0.724355, 0.688211), (0.322835, 0.33303, 0.356818),
        (8.7673, 8.98554, 8.0866), 3523.08, 1546, 19612, (89.57, 181.37, 129.95, 125.99, 99.88),
    ),
    9000: (
        (-0.554541, -0.461516, -0.69245), (0.747377, 0.711578, 0.675779), (0.425704, 0.439147, 0.470515),
        (8.78904, 9.13371, 7.97431), 2901.24, 1301, 26958, (94.03, 93.52, 151.18, 121.8, 143.87),
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEN)
def test_the_scene_of_a_seed_is_the_one_that_the_weights_have_seen(seed: int) -> None:
    sun, light, sky, materials, boxes, geoms, triangles, images = SEEN[seed]
    config, layout = SimConfig(width_px=160, height_px=90, max_frames=8), make_layout(seed)
    model = build_scene(
        layout, populate(layout, seed, config).specs, {"uav1": config.vertical_fov_rad}, seed, config
    ).model
    np.testing.assert_allclose(model.light_dir[0], sun, atol=1e-5)
    np.testing.assert_allclose(model.light_diffuse[0], light, atol=1e-5)
    np.testing.assert_allclose(model.vis.headlight.ambient, sky, atol=1e-5)
    np.testing.assert_allclose(model.mat_rgba.sum(0)[:3], materials, atol=1e-4)
    assert float(model.geom_rgba.astype(np.float64).sum()) == pytest.approx(boxes, abs=0.05)
    assert (model.ngeom, model.nmeshface) == (geoms, triangles)
    starts = [int(a) for a in model.tex_adr]
    means = [model.tex_data[a : a + 3 * 256 * 256].mean() for a in starts]
    np.testing.assert_allclose(means, images, atol=0.3)  # painting may differ in the last bits elsewhere


def test_looks_are_a_function_of_the_seed() -> None:
    a, b, other = draw_appearance(3), draw_appearance(3), draw_appearance(4)
    assert (len(a.facades), len(a.roofs), len(a.leaves)) == (FACADES, ROOFS, TREES)
    np.testing.assert_array_equal(a.towards_sun, b.towards_sun)
    np.testing.assert_array_equal(a.facades[0], b.facades[0])
    assert not np.array_equal(a.facades[0], other.facades[0])
    assert np.linalg.norm(a.towards_sun) == pytest.approx(1.0) and a.towards_sun[2] > 0.5

"""What a camera cannot show is not drawn, and the images stay the same."""

from typing import Any

import numpy as np
import pytest

from rsdfm_ros.sim.camera import renderer
from rsdfm_ros.sim.config import SimConfig, WorldConfig
from rsdfm_ros.sim.world import World

WORLDS = [
    (9001, WorldConfig()),
    (7, WorldConfig(style="oldtown", weather="night", terrain="steps")),
    (8, WorldConfig(style="rural", weather="clear", terrain="slope")),
]


@pytest.mark.parametrize(("seed", "world"), WORLDS)
def test_images_and_truth_are_those_of_the_whole_scene(
    monkeypatch: pytest.MonkeyPatch, seed: int, world: WorldConfig
) -> None:
    drawn: list[float] = []
    culled = renderer.visible_geoms

    def noted(*given: Any) -> Any:
        visible = culled(*given)
        drawn.append(float(visible.mean()))
        return visible

    monkeypatch.setattr(renderer, "visible_geoms", noted)
    with World(seed, 3, SimConfig(max_frames=8, world=world)) as w:
        part = w.frame(6, depth=True, ids=True)
        monkeypatch.setattr(renderer, "visible_geoms", lambda model, *_: np.ones(model.ngeom, bool))
        whole = w.frame(6, depth=True, ids=True)
    assert len(drawn) == 3 and max(drawn) < 0.9 and min(drawn) < 0.6
    for a, b in zip(part.views, whole.views, strict=True):
        assert a.depth is not None and b.depth is not None and a.ids is not None and b.ids is not None
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(part.objects.visibility, whole.objects.visibility)

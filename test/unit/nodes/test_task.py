"""A plug-in task online: found in the model, composed with the rest, its messages filled by the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
import torch
from nav_msgs.msg import OccupancyGrid

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.nodes.uav import task_head
from rsdfm_ros.nodes.uav.model import plug_ins_of
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.ros_world import ACTIVATE, CONFIGURE, TINY, RosWorld

NS = 12_000_000_000


@pytest.fixture
def model(tmp_path: Path) -> str:
    values = yaml.safe_load(Path(TINY).read_text())
    values["model"]["heads"] = ["detection", "segmentation", "trajectory", "layout"]
    path = tmp_path / "with_layout.yaml"
    path.write_text(yaml.safe_dump(values))
    return f"random:{path}"


def test_a_uav_has_a_node_for_every_task_that_its_model_has_beside_the_three(
    world: RosWorld, model: str, tmp_path: Path
) -> None:
    assert plug_ins_of(model) == ("layout",)
    assert plug_ins_of(f"random:{TINY}") == () and plug_ins_of(str(tmp_path)) == ()
    uav = Uav(**world.options(model=model))
    names = [head.get_name() for head in uav.heads]
    assert names == [
        "detection_head_node",
        "segmentation_head_node",
        "layout_head_node",
        "trajectory_head_node",
    ]
    for node in uav.nodes:
        world.add(node)
    plain = Uav(**world.options(model=f"random:{TINY}"))
    assert "layout_head_node" not in [head.get_name() for head in plain.heads]
    for node in plain.nodes:
        world.add(node)


def test_its_messages_are_what_the_head_answers(
    world: RosWorld, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}
    monkeypatch.setattr(
        task_head.TaskHeadNode, "offer", lambda self, topic, build: sent.update({topic: build()})
    )
    node = world.add(task_head.TaskHeadNode("layout", fused_from_topic=False, **world.options(model=model)))
    assert world.change(node, CONFIGURE) and world.change(node, ACTIVATE)
    perception = node._model
    torch.manual_seed(0)
    shape = perception.window.shape
    fused_map = FusedMap(torch.rand(perception.config.channels, *shape), torch.ones(shape, dtype=torch.bool))
    node.answer(Fused(NS, 3, fused_map, None, ("uav1",), (0.0,), perception.region))
    answer = perception.answer("layout", [fused_map])
    assert set(sent) == {"layout/road", "layout/building"}
    grid = sent["layout/road"]
    assert isinstance(grid, OccupancyGrid) and grid.header.frame_id == "map" and grid.header.stamp.sec == 12
    assert (grid.info.width, grid.info.height) == perception.output_window.shape
    assert grid.info.origin.position.x == perception.output_window.bounds[0]
    cells = np.array(grid.data, np.int64).reshape(grid.info.height, grid.info.width)
    np.testing.assert_allclose(cells.T, 100 * answer.probability[0], atol=0.51)

"""Times of the stages of one UAV that fuses three peers, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.evaluation.speed.scene import Scene
from rsdfm_ros.evaluation.speed.timing import Repeats, medians_ms
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.budget import BudgetController
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame

PEERS = 3
ENCODER = "perceive (encoder + mapping)"


def stages(
    perception: Perception,
    scene: Scene,
    repeats: Repeats | None = None,
    on_round: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Milliseconds of every stage that the model has, on images of a scene of at least four UAVs."""
    model = perception if scene.ground is None else perception.on_ground(scene.ground)
    first, last = scene.agents[0], len(scene.frames) - 1
    views = [scene.view(name, last) for name in scene.agents[: PEERS + 1]]
    ego, *bevs = [model.perceive(v.image, v.K, v.T_map_camera) for v in views]
    cells = BudgetController(DEFAULTS.budget_bytes).plan().cells
    frame = model.compress(ego, cells)
    packets = encode_frame(frame)
    before = [scene.view(first, last - n) for n in range(min(last, model.config.history - 1), 0, -1)]
    ages_s = [0.0] * len(bevs)
    history = [model.fuse(model.perceive(v.image, v.K, v.T_map_camera), bevs, ages_s) for v in before]
    history.append(model.fuse(ego, bevs, ages_s))
    model.task_features(history)

    def features() -> object:
        newest = replace(history[-1], computed={})  # those of the maps before it are kept, as a node does
        return model.task_features([*history[:-1], newest])

    here, has = views[0], model.config.heads
    works: dict[str, Callable[[], object]] = {
        ENCODER: lambda: model.perceive(here.image, here.K, here.T_map_camera),
        "compress": lambda: model.compress(ego, cells),
        "encode packets": lambda: encode_frame(frame),
        "decode packets": lambda: assemble([decode_packet(p) for p in packets]),
        "decompress one peer": lambda: model.decompress(frame, here.T_map_camera),
        "fuse four agents": lambda: model.fuse(ego, bevs, ages_s),
        "neck": features,
    }
    if "detection" in has:
        works["detect"] = lambda: model.detect(history)
    if "segmentation" in has:
        present = model.segment(history)
        works["segment"] = lambda: model.segment(history)
        if "trajectory" in has:
            works["predict"] = lambda: model.predict(history, present)
    return medians_ms(works, repeats, on_round)

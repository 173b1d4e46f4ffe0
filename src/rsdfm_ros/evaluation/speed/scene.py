"""Images to measure speed with: overlapping views of one simulated place, rendered from a seed.

The cost of codec and heads depends on what is seen, so that noise would not do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.sim.config import MAX_UAVS, TEST_SEEDS_FROM

SEED, FRAMES = TEST_SEEDS_FROM, 4
LATER = 8
"""Beyond MAX_UAVS, views of so many frames later stand for further UAVs: other views of the same place."""


@dataclass(frozen=True)
class Scene:
    """views: by frame, one per UAV · later: frames without images, for the truth of their time · ground: None where it
    is z = 0."""

    seed: int
    frames: tuple[WorldFrame, ...]
    later: tuple[WorldFrame, ...]
    ground: Ground | None

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the UAVs, in order."""
        return self.frames[0].agents

    def place(self, k: int) -> int:
        """Which frame is shown at instant k: they are played forwards, backwards, and so on."""
        last = len(self.frames) - 1
        turn = k % (2 * last) if last else 0
        return min(turn, 2 * last - turn)

    def view(self, agent: str, k: int) -> CameraView:
        """The view of a UAV at instant k."""
        (view,) = self.frames[self.place(k)].views_of(agent)
        return view

    def objects(self, k: int) -> Objects:
        """The objects of the world at instant k."""
        return self.frames[self.place(k)].objects


def render(
    uavs: int, seed: int = SEED, frames: int = FRAMES, on_frame: Callable[[], None] = lambda: None
) -> Scene:
    """The scene of a seed. on_frame: called after every rendered frame, `renderings(uavs, frames)` times."""
    from rsdfm_ros.sim.world import World

    shown: list[WorldFrame] = []
    with World(seed, min(uavs, MAX_UAVS)) as world:
        for k in range(frames):
            here = world.frame(k)
            views = list(here.views)
            on_frame()
            for turn in range(1, renderings(uavs, 1)):
                views += world.frame(k + turn * LATER).views
                on_frame()
            named = tuple(replace(view, agent=f"uav{n + 1}") for n, view in enumerate(views[:uavs]))
            shown.append(replace(here, views=named, agents=tuple(v.agent for v in named)))
        period_ns = round(1e9 / world.config.frame_rate_hz)
        later = tuple(
            WorldFrame(k, k * period_ns, (), world.objects(k)) for k in range(frames, frames + FUTURE_STEPS)
        )
        return Scene(seed, tuple(shown), later, world.dem())


def renderings(uavs: int, frames: int) -> int:
    """How many frames of the simulator `render` renders."""
    return frames * -(-uavs // MAX_UAVS)

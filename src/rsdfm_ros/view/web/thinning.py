"""Which messages of a live fleet are read: as many instants per second as a page shows, all messages of one stamp or
none; and the poses around their images."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Generic, TypeVar

KEPT = 200
"""Stamps whose decision is remembered."""
EARLY = 0.8
"""An instant is due after this share of the time between two: those of a mission do not come evenly."""

HELD = 256
"""Poses of one topic that wait for images: some seconds of them."""
IMAGES_NOTED = 32
"""Stamps of images whose poses may still come."""
AROUND_NS = 100_000_000
"""Poses so near to an image are read too: its exposure may be shifted against its stamp."""

T = TypeVar("T")


class Thinning:
    """rate_hz: called for the rate that is of use now, 0 for none."""

    def __init__(self, rate_hz: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._rate_hz, self._clock = rate_hz, clock
        self._decided: OrderedDict[int, bool] = OrderedDict()
        self._last_s = float("-inf")

    def wants(self, ns: int) -> bool:
        """Whether the messages of a stamp are read: decided by the first of them."""
        if (decision := self._decided.get(ns)) is None:
            rate_hz, now_s = self._rate_hz(), self._clock()
            decision = rate_hz > 0 and now_s - self._last_s >= EARLY / rate_hz
            if decision:
                self._last_s = now_s
            self._decided[ns] = decision
            if len(self._decided) > KEPT:
                self._decided.popitem(last=False)
        return decision


class PosesAround(Generic[T]):
    """Lets the poses of a topic through that an image needs: the last before and the first after its stamp, and those
    near it. At the rate of flight controllers, hundreds per second lie between."""

    def __init__(self) -> None:
        self._held: dict[str, deque[tuple[int, T]]] = {}
        self._before: dict[str, int] = {}
        """Stamp of the last pose that does not wait any more, by topic."""
        self._images: deque[int] = deque(maxlen=IMAGES_NOTED)

    def image(self, ns: int) -> list[T]:
        """Note the stamp of an image that is read; the poses that it needs."""
        if ns in self._images:
            return []
        self._images.append(ns)
        return [pose for topic in self._held for pose in self._released(topic, (ns,), 0)]

    def pose(self, topic: str, ns: int, pose: T) -> list[T]:
        """Take a pose; those that are read now."""
        held = self._held.setdefault(topic, deque())
        if held and ns < held[-1][0]:  # the source was restarted
            held.clear()
            self._before.pop(topic, None)
        held.append((ns, pose))
        if len(held) > HELD:
            self._before[topic] = held.popleft()[0]
        return self._released(topic, self._images, max(0, len(held) - 2))  # those before are decided

    def _released(self, topic: str, images: Iterable[int], first: int) -> list[T]:
        """Poses from the place `first` on that these images need; what is older than the last of them waits no more."""
        held, released, done = self._held[topic], [], 0
        for place in range(first, len(held)):
            ns, pose = held[place]
            before = held[place - 1][0] if place else self._before.get(topic, -1)
            after = held[place + 1][0] if place + 1 < len(held) else None
            if any(_is_needed(image, before, ns, after) for image in images):
                released.append(pose)
                done = place + 1
        for _ in range(done):
            self._before[topic] = held.popleft()[0]
        return released


def _is_needed(image: int, before: int, ns: int, after: int | None) -> bool:
    """Whether an image needs the pose of ns; before, after: stamps of its neighbours."""
    first_after = before < image <= ns
    last_before = ns <= image and (after is None or image < after)
    return first_after or last_before or abs(image - ns) <= AROUND_NS

"""The last items of a UAV at rising stamps: input of tasks that use a history."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class Stamped(Protocol):
    """Protocol of items with a stamp, in ns."""

    @property
    def stamp_ns(self) -> int:
        """Exposure time."""


Item = TypeVar("Item", bound=Stamped)


class History(Generic[Item]):
    """The last `length` items, newest last; a gap of more than `max_gap_ns` or a step back in time starts it anew."""

    def __init__(self, length: int, max_gap_ns: int) -> None:
        self._length, self._max_gap_ns = length, max_gap_ns
        self._items: tuple[Item, ...] = ()

    def clear(self) -> None:
        """Forget everything."""
        self._items = ()

    def add(self, item: Item) -> tuple[Item, ...]:
        """The history that ends with `item`."""
        if self._items and not 0 < item.stamp_ns - self._items[-1].stamp_ns <= self._max_gap_ns:
            self._items = ()
        self._items = (*self._items, item)[-self._length :]
        return self._items

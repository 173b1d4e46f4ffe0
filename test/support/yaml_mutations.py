"""Other content of YAML and JSON files: values that were not expected, and tokens in odd places."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

VALUES: list[Any] = [
    None, True, 0, 1, -1, 2**31, 2**63, -(2**70), 10**400, 0.5, 1e308, float("nan"), float("inf"), "", "x", "\0",
    "é" * 9, "../..", "5", [], [1], [[]], [None, 1], [1e9] * 9, {}, {"x": 1},
    {1: 2}, {"name": "a"}, [{"name": "a"}] * 3,
]  # fmt: skip
TOKENS = [
    *rb"{ } [ ] : - &a *a !!int !!binary <<: | ' %".split(),
    *(b": ", b"- ", b"&a ", b"<<: ", b"|\n", b"\t", b"\xff"),
]
"""Tokens of YAML, with and without what must follow them."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, below in items for p in ((*path, key), *places(below, (*path, key)))]


def with_other_values(rng: np.random.Generator, content: Any) -> Any:
    """The content with some values replaced, removed, or under another key."""
    content = json.loads(json.dumps(content))
    for _ in range(rng.integers(1, 4)):
        found = places(content)
        if not found:
            break
        *path, key = found[rng.integers(len(found))]
        holder = content
        for step in path:
            holder = holder[step]
        way = rng.integers(5)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return content


def with_other_tokens(rng: np.random.Generator, text: bytes) -> bytes:
    """The text with tokens of YAML put in, and bytes left out."""
    for _ in range(rng.integers(1, 5)):
        at, stop = np.sort(rng.integers(0, len(text) + 1, 2))
        stop = at if rng.random() < 0.7 else min(stop, at + 20)
        text = text[:at] + TOKENS[rng.integers(len(TOKENS))] * int(rng.choice([1, 1, 2, 60])) + text[stop:]
    return text

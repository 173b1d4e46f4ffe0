"""Sentences on a mission's times: in lockstep the processing time, in real time also the delay of answers."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.words import counted

PROCESSING = "processing: what one UAV computes for one image, without waiting"
LOCKSTEP = (
    "in lockstep mission time stands still until every UAV has answered, so the time from an image to its answer "
    "says nothing about real time"
)


def in_lockstep(result: dict[str, Any]) -> bool:
    """Whether a result says that it was flown in lockstep."""
    return bool(result.get("protocol", {}).get("lockstep"))


def timing_words(result: dict[str, Any]) -> str:
    """The times of a mission in a sentence or two; empty if none were reported."""
    sentences = []
    processing = _range(result, "processing_median_ms", "processing_p95_ms")
    if processing:
        sentences.append(f"{_sentence(PROCESSING)}: {processing}, {shared_by(result)}.")
    if in_lockstep(result):
        sentences.append(f"{_sentence(LOCKSTEP)}.")
    latency = "" if in_lockstep(result) else _range(result, "latency_median_ms", "latency_p95_ms")
    if latency:
        sentences.append(f"From the arrival of an image to its last answer: {latency}.")
    return " ".join(sentences)


def shared_by(result: dict[str, Any]) -> str:
    """By whom the machine was used meanwhile."""
    uavs = counted(len(result.get("protocol", {}).get("agents", [])), "UAV")
    cores = ((result.get("provenance") or {}).get("machine") or {}).get("cores")
    return f"while {uavs} and the world shared {counted(cores, 'core') if cores else 'the machine'}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _range(result: dict[str, Any], median_key: str, high_key: str) -> str:
    facts = result.get("agents", {}).values()
    medians, highs = ([f[key] for f in facts if f.get(key) is not None] for key in (median_key, high_key))
    if not medians or not highs:
        return ""
    low, high = round(min(medians)), round(max(medians))
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"median {span} ms, 95 % within {max(highs):.0f} ms"

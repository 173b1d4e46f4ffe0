"""What the nodes of a running fleet say of themselves: their diagnostics, over a few seconds."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from rsdfm_ros.doctor.checklist import checklist
from rsdfm_ros.doctor.checks import MAKE_SETUP, Check
from rsdfm_ros.domains import VARIABLE, joined_domain

DEFAULT_S = 5.0
LONGEST_S = 600.0
START_S = 60.0
"""Longest start and end of the process that listens, beside the listening."""
OK, WARN, ERROR = range(3)
CURES = {
    "camera": "fly and aim as the weights were trained (MODEL_CARD.md of the model), or train for these cameras: "
    "`rsdfm simulate --pitch … --altitude … --fov …`, then `rsdfm train`",
    "inputs": "look at topics, QoS and clocks of what is missing (docs/inputs.md)",
}
"""Concern → what to do; the sentences of the others say it."""


def seconds(text: str) -> float:
    """A time to listen for. Raises: ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"expected 1 to {LONGEST_S:g} seconds, got {text!r}")
    return value


def examine_fleet(listen_s: float) -> Iterator[Check]:
    """A check for every status that is not fine, one for the fleet, and the steps of the checklist.

    Raises: DomainError if several fleets run.
    """
    domain, _ = joined_domain()
    environment = dict(os.environ) if domain is None else {**os.environ, VARIABLE: str(domain)}
    place = f"ROS domain {environment.get(VARIABLE) or 0}"
    command = [sys.executable, "-m", "rsdfm_ros.nodes.checks.live_check", str(listen_s)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=listen_s + START_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Check(
            "fleet",
            "missing",
            f"the look into {place} did not end",
            "`rsdfm doctor` says whether ROS works here",
        )
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        yield Check("fleet", "missing", last, f"{MAKE_SETUP}, or source a ROS 2 workspace")
        return
    statuses = json.loads(done.stdout.splitlines()[-1])
    yield from findings(statuses, f"{place}, {listen_s:g} s")
    yield from checklist(statuses)


def findings(statuses: list[dict[str, Any]], place: str) -> Iterator[Check]:
    """Checks of statuses as live_check prints them: name, level, message."""
    nodes = {status["name"].partition(":")[0] for status in statuses}
    if not nodes:
        cure = f"start a fleet, or set {VARIABLE} and ROS_AUTOMATIC_DISCOVERY_RANGE as it has them"
        yield Check("fleet", "missing", f"no diagnostics of a node of this package in {place}", cure)
        return
    bad = [status for status in statuses if status["level"] != OK]
    said = f"{len(nodes)} nodes in {place}: {len(bad) or 'no'} of {len(statuses)} statuses tell of trouble"
    yield Check("fleet", "ok", said)
    for status in bad:
        node, _, concern = status["name"].partition(": ")
        level = "error" if status["level"] == ERROR else "warning"
        yield Check(f"{node}: {concern}", level, status["message"], CURES.get(concern, ""))

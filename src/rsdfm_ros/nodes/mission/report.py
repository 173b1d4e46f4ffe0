"""Status lines, the FleetStatus message and the result of an evaluated mission."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rsdfm_ros.data.messages.answers.status import SENDING
from rsdfm_ros.evaluation.metrics.answer_times import AnswerTimes
from rsdfm_ros.evaluation.metrics.processing import ProcessingTimes
from rsdfm_ros.evaluation.mission import Instant, Mission
from rsdfm_ros.evaluation.protocol import AREAS
from rsdfm_ros.msg import AgentStatus, FleetStatus
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.mission.settings import EvaluatorSettings


def frame_line(
    mission: Mission, agents: Sequence[str], instant: Instant, processing: ProcessingTimes
) -> dict[str, Any]:
    """A line of status.jsonl: status, traffic and scores of every UAV at an instant."""
    live = mission.live(instant.stamp_ns)
    lines = {}
    for agent in agents:
        single, both = live.get((agent, "single"), {}), live.get((agent, "collaborative"), {})
        total = mission.agent_result(agent, "collaborative")
        lines[agent] = {
            **instant.status.get(agent, {}),
            **processing.figures(agent),
            "bytes_sent_frame": instant.bytes_sent.get(agent, 0),
            "packets_sent_frame": instant.packets_sent.get(agent, 0),
            "iou_single": single.get("iou"),
            "iou_collaborative": both.get("iou"),
            "ap_single": single.get("ap"),
            "ap_collaborative": both.get("ap"),
            "iou_so_far": total["iou"],
            "ap_so_far": total["ap"],
        }
    return {"frame": instant.frame, "stamp_s": instant.stamp_ns / 1e9, "agents": lines}


def fleet_message(line: dict[str, Any], stamp_ns: int, frame_id: str) -> FleetStatus:
    """A status line as a message."""
    message = FleetStatus(frame=line["frame"])
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), frame_id
    for name, facts in line["agents"].items():
        agent = AgentStatus(agent=name, frame=line["frame"], peers=facts.get("peers", []))
        agent.header = message.header
        for field in (
            "frames_processed",
            "frames_dropped",
            "rate_hz",
            "bytes_sent",
            "bytes_received",
            "objects",
        ):
            setattr(agent, field, facts.get(field, 0.0 if field == "rate_hz" else 0))
        for field in (*SENDING, "packets_received", "packets_lost", "packets_rejected"):
            setattr(agent, field, facts.get(field, 0))
        agent.latency_median_s = facts.get("latency_median_ms", 0.0) / 1e3
        agent.latency_p95_s = facts.get("latency_p95_ms", 0.0) / 1e3
        agent.bytes_sent_frame = facts["bytes_sent_frame"]
        agent.peer_ages_s = facts.get("peer_ages_s", [])
        message.agents.append(agent)
    facts_of = list(line["agents"].values())
    message.iou_single = [_or_nan(f["iou_single"]) for f in facts_of]
    message.iou_collaborative = [_or_nan(f["iou_collaborative"]) for f in facts_of]
    message.average_precision = [_or_nan(f["ap_so_far"]) for f in facts_of]
    return message


def result_of(
    mission: Mission,
    settings: EvaluatorSettings,
    history: list[dict[str, Any]],
    processing: ProcessingTimes,
    answer_times: AnswerTimes,
    domain: int,
    incomplete: int,
) -> dict[str, Any]:
    """Content of result.json: the protocol, results as `rsdfm evaluate` writes them, per UAV and per frame.

    incomplete: lines of the history that lack the answer of some UAV.
    """
    agents: dict[str, Any] = {}
    for agent in settings.agents:
        told = (line["agents"].get(agent, {}) for line in reversed(history))
        last = next((facts for facts in told if "frames_processed" in facts), {})
        agents[agent] = {
            "collaborative": mission.agent_result(agent, "collaborative"),
            "single": mission.agent_result(agent, "single"),
            "frames": last.get("frames_processed", 0),
            "frames_dropped": last.get("frames_dropped", 0),
            "latency_median_ms": last.get("latency_median_ms"),
            "latency_p95_ms": last.get("latency_p95_ms"),
            **processing.figures(agent),
            **answer_times.figures(agent),
            "packets_lost": last.get("packets_lost", 0),
            "packets_rejected": last.get("packets_rejected", 0),
            "peers_fused_min": min(
                (len(line["agents"][agent]["peers"]) for line in history if "peers" in line["agents"][agent]),
                default=0,
            ),
        }
    return {
        "protocol": {
            "kind": "online mission",
            "ros_domain": domain,
            "agents": list(settings.agents),
            "frames": settings.frames,
            "frames_answered": len(history) - incomplete,
            "answers_missing": mission.missing_answers,
            "foreground_percent": settings.foreground_percent,
            "cell_size_m": settings.cell_size_m,
            "areas_half_extent_m": {name: -area.bounds[0] for name, area in AREAS.items()},
            "bytes": "serialised FeaturePacket messages per frame and UAV",
        },
        "results": mission.results(),
        "agents": agents,
        "frames": history,
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)

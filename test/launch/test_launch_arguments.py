"""The arguments of launch files: ours, Nav2's names beside them, and their values in both spellings."""

from __future__ import annotations

import pytest

from support.places import ROOT

pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, ExecuteProcess

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.options import NAV2_NAMES
from rsdfm_ros.fleet.launching import declared_arguments, fleet_of, hold, is_true, started
from rsdfm_ros.view.web.access import WebError
from support.own_domains import new_domain
from support.web_client import free_port

DEMO = str(ROOT / "config/fleet/demo.yaml")


def context_of(**values: str) -> LaunchContext:
    """A context after the arguments of fleet.launch.py were declared with these values."""
    context = LaunchContext()
    context.launch_configurations.update(values)
    for action in declared_arguments(DEMO):
        action.execute(context)
    return context


def test_nav2_names_are_declared_beside_ours() -> None:
    names = [a.name for a in declared_arguments(DEMO) if isinstance(a, DeclareLaunchArgument)]
    shared = {"use_sim_time", "params_file", "log_level", "autostart"}
    assert {*NAV2_NAMES, *NAV2_NAMES.values(), *shared} <= set(names) and len(names) == len(set(names))


@pytest.mark.parametrize("word", ["True", "true"])
def test_true_is_taken_in_both_spellings(word: str) -> None:
    fleet, options = fleet_of(
        context_of(world="none", use_sim_time=word, use_rviz=word, use_composition=word, namespace="team")
    )
    assert fleet.follows_clock and fleet.uav.composed and options.rviz
    assert fleet.namespace_prefix == "/team"
    assert is_true(context_of(force=word), "force")


def test_false_is_taken_in_both_spellings() -> None:
    for word in ("False", "false"):
        fleet, options = fleet_of(context_of(use_composition=word, use_rviz=word, record=word))
        assert not fleet.uav.composed and not options.rviz and not options.record


def test_without_arguments_the_fleet_is_as_described() -> None:
    fleet, options = fleet_of(context_of())
    assert fleet.uav.composed and not options.rviz and not options.record and fleet.namespace_prefix == ""


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(FleetDescriptionError, match="the two contradict"):
        fleet_of(context_of(use_composition="False", composed="true"))
    with pytest.raises(RuntimeError, match="composed"):
        context_of(composed="perhaps")


def page_commands(**values: str) -> list[list[str]]:
    """Command lines of the processes that serve a page, of a launch with these arguments."""
    context = context_of(world="none", domain=str(new_domain()), **values)
    held = hold(context, *fleet_of(context))
    try:
        processes = [action for action in started(held) if isinstance(action, ExecuteProcess)]
        commands = [["".join(map(context.perform_substitution, w)) for w in p.cmd] for p in processes]
        return [words for words in commands if "rsdfm_ros.view.web.activation" in words]
    finally:
        held.give_back()


def test_the_page_is_served_beside_the_fleet_unless_it_is_not_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    (words,) = page_commands(web_port=str(port))
    assert "web_node" in words and f"port:={port}" in words and not any(w.startswith("run:=") for w in words)
    assert f"look at it in a browser: http://127.0.0.1:{port}/" in capsys.readouterr().out
    assert len(page_commands()) == 1 and page_commands(web="False") == []
    with pytest.raises(WebError, match="contradict"):
        page_commands(web="false", web_port=str(port))

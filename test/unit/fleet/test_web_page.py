"""The page beside a fleet: which process serves it, what it knows, and what the options refuse."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from rsdfm_ros import cli
from rsdfm_ros.fleet.companions import COMPANION, web_page
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.view import command
from rsdfm_ros.view.web.access import TOKEN_VARIABLE, Address, WebError
from rsdfm_ros.view.web.options import LAUNCH_ARGUMENTS, add_web_arguments, address_of, launched_address
from support import view_flight as flight
from support.web_client import free_port

OPEN = Address("0.0.0.0", 8421, "a-token-of-many-characters")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_web_arguments(parser)
    return parser.parse_args(words)


def test_the_page_is_a_sleeping_companion_that_knows_the_run(tmp_path: Path) -> None:
    fleet = fleet_from_dict({"uavs": 3, "network": {"domain": 7}})
    spec = web_page(fleet, Address("127.0.0.1", 8420), tmp_path)
    assert spec.role == COMPANION and spec.name == "web" and spec.environment["ROS_DOMAIN_ID"] == "7"
    words = spec.command
    assert words[:3] == (sys.executable, "-m", "rsdfm_ros.view.web.activation") and words[3:5] == (
        "127.0.0.1",
        "8420",
    )
    assert "web_node" in words and f'run:="{tmp_path}"' in words and 'title:="3 UAVs, live"' in words
    assert ("lockstep:=true" in words) == fleet.in_lockstep and TOKEN_VARIABLE not in spec.environment


def test_the_token_is_in_the_environment_and_in_no_argument(tmp_path: Path) -> None:
    spec = web_page(fleet_from_dict({}), OPEN, tmp_path)
    assert spec.environment[TOKEN_VARIABLE] == OPEN.token
    assert not any(OPEN.token in word for word in spec.command)


def test_the_options_choose_where_the_page_is() -> None:
    port = free_port()
    assert address_of(parsed("--no-web")) is None
    assert address_of(parsed("--web", str(port))) == Address("127.0.0.1", port)
    chosen = address_of(parsed("--web", f"0.0.0.0:{port}"))
    assert chosen is not None and chosen.host == "0.0.0.0" and len(chosen.token) >= 16
    with pytest.raises(WebError, match="not both"):
        address_of(parsed("--web", "1", "--no-web"))


@pytest.mark.parametrize("words", [["fleet", "fleet.yaml"], ["view", "."]])
def test_a_wrong_address_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.yaml").write_text(
        "world: {kind: none}\nmodel: random:base\nevaluator: {enabled: false}\n"
    )
    before = sorted(tmp_path.iterdir())
    assert cli.main([*words, "--web", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("error: ") and sorted(tmp_path.iterdir()) == before


def test_the_source_of_a_view_may_stand_behind_web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Path] = []
    monkeypatch.setattr("rsdfm_ros.view.web.serving.serve_recorded", lambda path, *rest: shown.append(path))
    run = flight.write_run(tmp_path / "run")
    for words in (
        ["--web", str(run)],
        [str(run), "--web"],
        [str(run), "--web", str(free_port())],
        [str(run)],
    ):
        assert cli.main(["view", *words]) == 0
    assert shown == [run] * 4


def test_the_view_of_a_live_fleet_becomes_web_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "5")
    monkeypatch.setenv(TOKEN_VARIABLE, OPEN.token)
    ran: list[list[str]] = []
    port = free_port()
    args = argparse.Namespace(web=f"0.0.0.0:{port}", no_web=False, map=tmp_path / "map.yaml")
    command.live_page(args, lambda program, words: ran.append(words))
    (words,) = ran
    assert "web_node" in words and f"port:={port}" in words and f'topic_map:="{tmp_path}/map.yaml"' in words
    assert os.environ[TOKEN_VARIABLE] == OPEN.token and not any(OPEN.token in word for word in words)
    said = capsys.readouterr().out
    assert f"token={OPEN.token}" in said and said.startswith("look at it in a browser: http://")


def test_launch_arguments_choose_as_the_options_do() -> None:
    defaults = {name: default for name, (default, _) in LAUNCH_ARGUMENTS.items()}
    on = launched_address(**defaults)
    assert on is not None and on.host == "127.0.0.1" and not on.token
    assert launched_address("False", "") is None
    port = free_port()
    assert launched_address("True", str(port)) == Address("127.0.0.1", port)
    chosen = launched_address("true", f"0.0.0.0:{port}")
    assert chosen is not None and len(chosen.token) >= 16


@pytest.mark.parametrize(
    ("web", "web_port", "sentence"),
    [
        ("9000", "", "expected true or false, got '9000'; another port is given with web_port:=PORT"),
        ("false", "9000", "contradict"),
        ("true", "nowhere", "web_port:=nowhere: expected PORT or HOST:PORT"),
        ("true", "192.0.2.1:9000", "web_port:=192.0.2.1:9000: cannot listen there"),
    ],
)
def test_launch_arguments_that_cannot_be_are_refused(web: str, web_port: str, sentence: str) -> None:
    with pytest.raises(WebError, match=sentence):
        launched_address(web, web_port)


def test_a_page_beside_a_fleet_that_writes_nothing_knows_no_run() -> None:
    spec = web_page(fleet_from_dict({}), Address("127.0.0.1", 8420), None)
    assert not any(word.startswith("run:=") for word in spec.command)

"""The help of every command ends with two examples, which it takes, and says how long it takes."""

from __future__ import annotations

import argparse
import shlex

import pytest

from rsdfm_ros import cli
from rsdfm_ros.examples import USAGES, subcommands


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser with one command's options."""
    return cli.build_parser(command.split(), cli.available_commands())


def test_only_commands_that_are_offered_have_examples() -> None:
    assert {name.split()[0] for name in USAGES} == set(cli.available_commands())


@pytest.mark.parametrize("command", cli.available_commands())
def test_the_help_of_a_command_and_its_parts_shows_two_examples_that_it_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = parser_of(command)
    (commands,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    chosen = commands.choices[command]
    parts = {command: chosen, **{f"{command} {name}": part for name, part in subcommands(chosen)}}
    assert set(parts) == {name for name in USAGES if name.split()[0] == command}
    for name, part in parts.items():
        usage, shown = USAGES[name], part.format_help()
        assert f"\ntakes: {usage.takes}" in shown
        assert usage.first != usage.second
        for words, meaning in (usage.first, usage.second):
            assert f"rsdfm {words}\n      {meaning}\n" in shown, "each on a line of its own"
            assert words.split()[: len(name.split())] == name.split()
            whole.parse_args(shlex.split(words))  # ends the process if it is not understood

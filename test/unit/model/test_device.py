"""Devices by name: those that are not there are refused in words, before a model is loaded."""

from __future__ import annotations

import pytest
import torch

from rsdfm_ros import cli
from rsdfm_ros.model.engine.device import DeviceError, choose_device


def test_devices_that_are_there_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", 1) == choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match=r"no device 'cuda:7': expected cuda:0 to cuda:1, auto or cpu"):
        choose_device("cuda:7")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda", "cannot be used: the installed PyTorch"),
        ("gpu", "unknown device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ("mps", "unknown device 'mps'"),
        ("cuda:-1", "unknown device"),
        ("", "unknown device ''"),
    ],
)
def test_a_device_that_is_not_there_is_one_sentence(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(["bag", "evaluate", "/nowhere", "--device", name]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1

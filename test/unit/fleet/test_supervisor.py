"""The supervisor of a fleet's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec


def test_a_process_that_was_starting_at_ctrl_c_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[str]] = []
    start, before = subprocess.Popen, signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[str]:
        made.append(start(*args, **options))
        os.kill(os.getpid(), signal.SIGINT)
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    spec = NodeSpec("sleeper", "uav", "", command=(sys.executable, "-c", "import time; time.sleep(600)"))
    try:  # shells let their background jobs ignore it
        with Supervisor(tmp_path) as supervisor:
            with pytest.raises(KeyboardInterrupt):
                supervisor.start(spec)
            assert supervisor.pid("sleeper") == made[0].pid
        assert made[0].poll() is not None and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_does_not_block_a_process_that_prints(tmp_path: Path) -> None:
    (tmp_path / "talker.log").symlink_to("/dev/full")
    code = "for n in range(40_000): print(f'line {n}')"  # more than a pipe holds
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(NodeSpec("talker", "uav", "", command=(sys.executable, "-c", code)))
        crashed = supervisor.crashed("talker")
    assert crashed.status == 0 and "line 39999" in str(crashed)

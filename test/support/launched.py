"""A launch file as a process of its own, as `ros2 launch` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from support.places import ROOT

TINY = f"model:=random:{ROOT / 'test/support/tiny.yaml'}"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [tuple(a.split(":=", 1)) for a in sys.argv[2:]]
service = LaunchService(noninteractive=True)
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@contextmanager
def launching(environment: dict[str, str], file: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running launch; its remaining processes are killed at the end."""
    command = [sys.executable, "-c", RUN, str(ROOT / "launch" / file), *arguments]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:  # a launch that hangs takes its nodes with it; one that has ended leaves no group
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def launch(
    environment: dict[str, str], file: str, *arguments: str, timeout_s: float = 240.0
) -> tuple[int, str]:
    """Exit status of a launch, and its output."""
    with launching(environment, file, *arguments) as process:
        said, _ = process.communicate(timeout=timeout_s)
    return process.returncode, said

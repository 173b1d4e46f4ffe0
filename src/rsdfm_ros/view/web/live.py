"""The program that serves the page of a live fleet, as a command line and its environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from rsdfm_ros.view.web.access import TOKEN_VARIABLE, Address


def web_program(
    address: Address, *, title: str = "", run: str = "", topic_map: str = "", lockstep: bool = False
) -> list[str]:
    """web_node with these parameters; empty ones keep their defaults."""
    given = {"host": address.host, "port": address.port, "title": title, "run": run, "topic_map": topic_map}
    given |= {"lockstep": True} if lockstep else {}
    command = [sys.executable, "-m", "rsdfm_ros.start", "web_node", "--ros-args"]
    for name, value in given.items():
        if value != "":
            command += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, which ROS reads here
    return command


def web_environment(address: Address) -> Mapping[str, str]:
    """Its environment variables: the token, which other users cannot read there."""
    return {TOKEN_VARIABLE: address.token} if address.token else {}

"""The parameters of the nodes that show a live fleet."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.nodes.core.settings import NodeSettings
from rsdfm_ros.settings import setting
from rsdfm_ros.view.web.access import DEFAULT_PORT


@dataclass(frozen=True)
class ViewSettings(NodeSettings):
    """view_node: what `rsdfm view` shows of a live fleet."""

    save: str = setting("", "recording (.rrd) to write instead of opening a window")
    web: bool = setting(False, "serve a page to browsers instead of opening a window")
    connect: str = setting(
        "", "address of a viewer that runs already, such as rerun+http://127.0.0.1:9876/proxy"
    )
    topic_map: str = setting("", "topic map (YAML) for other topic names than ours; empty: ours")


@dataclass(frozen=True)
class WebSettings(NodeSettings):
    """web_node: the page for browsers of a live fleet. Beyond loopback every request needs the token of the
    environment variable RSDFM_WEB_TOKEN, or one that is made and logged."""

    host: str = setting(
        "127.0.0.1", "address to listen on: of loopback, or of a network that may see the page"
    )
    port: int = setting(DEFAULT_PORT, "port to listen on", low=1, high=65535)
    title: str = setting("Live fleet", "title of the page")
    lockstep: bool = setting(False, "the fleet flies in lockstep: its latencies are named so")
    run: str = setting(
        "",
        "folder of the mission that flies: its scene, and the frames from before a page was opened; empty: none",
    )
    topic_map: str = setting("", "topic map (YAML) for other topic names than ours; empty: ours")

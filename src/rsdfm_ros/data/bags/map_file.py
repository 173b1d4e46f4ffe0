"""Topic maps as YAML files (config/bags/): strict, every unknown setting named, every refusal with the allowed
values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdfm_ros.data.bags.errors import TopicMapError
from rsdfm_ros.data.bags.topic_map import BUILDER, TopicMap
from rsdfm_ros.errors import reason
from rsdfm_ros.shipped import shipped
from rsdfm_ros.yaml_file import YamlError, read_yaml


def load_map(path: str | Path) -> TopicMap:
    """Read a topic map. Raises: TopicMapError."""
    try:
        values = read_yaml(shipped(path))
    except (OSError, YamlError) as error:
        raise TopicMapError(f"cannot read the topic map {path}: {reason(error)}") from error
    try:
        return map_from_dict(values)
    except TopicMapError as error:
        raise TopicMapError(f"{path}: {error}") from error


def map_from_dict(values: Any) -> TopicMap:
    """A checked map of parsed YAML. Raises: TopicMapError."""
    return BUILDER.build(TopicMap, values)

"""The messages: documented field by field, and the same to rosbags as to the compiler."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import message_docs
import pytest

from support.places import ROOT

MESSAGES = sorted((ROOT / "msg").glob("*.msg"))


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_message_and_every_field_is_explained(path: Path) -> None:
    about, fields = message_docs.parse(path.read_text())
    assert len(about) > 40
    assert fields
    constants_explained = False
    for field in fields:
        constants_explained |= bool(field.value and field.comment)
        explained = field.comment or (field.value and constants_explained)
        assert explained or field.type.startswith("std_msgs/"), f"{path.name}: {field.name} has no comment"


def test_the_page_about_messages_is_up_to_date() -> None:
    message = "run `python scripts/message_docs.py`"
    assert (ROOT / "docs" / "messages.md").read_text() == message_docs.document(), message


def test_a_line_that_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot read the line"):
        message_docs.parse("# A message.\n\nfloat32 = 3\n")


def _compiled(name: str) -> dict[str, str]:
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "share" / "rsdfm_ros" / "msg" / f"{name}.json"
        if path.is_file():
            return {
                entry["type_name"]: entry["hash_string"]
                for entry in json.loads(path.read_text())["type_hashes"]
            }
    pytest.skip("the messages are not built here")


@pytest.mark.skipif(importlib.util.find_spec("rosbags") is None, reason="rosbags is not installed")
def test_bags_see_the_types_that_the_compiler_sees() -> None:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for path in MESSAGES:
        types.update(get_types_from_msg(path.read_text(), f"rsdfm_ros/msg/{path.stem}"))
    store.register(types)
    for path in MESSAGES:
        name = f"rsdfm_ros/msg/{path.stem}"
        assert store.hash_rihs01(name) == _compiled(path.stem)[name]

"""Fingerprints: of what features mean on the wire, whatever a UAV does with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads import registry
from rsdfm_ros.model.heads.lookup import head_names, import_plugins
from rsdfm_ros.model.heads.registry import Head, register_head
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import (
    load_model,
    save_model,
    state_fingerprint,
    trunk_fingerprint,
    wire_fingerprint,
)
from rsdfm_ros.wire.errors import FingerprintMismatch
from rsdfm_ros.wire.limits import Expected
from rsdfm_ros.wire.packet import decode_packet, encode_frame
from support.painted import tiny_perception

CONFIG = tiny_perception().config
SHIFT = 1e-3


def model(**changes: object) -> RSDFM:
    """The same weights, wherever they fit, under other settings."""
    torch.manual_seed(0)
    donor = RSDFM(CONFIG).state_dict()
    made = RSDFM(dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]
    own = made.state_dict()
    fits = {k: v for k, v in donor.items() if k in own and own[k].shape == v.shape}
    made.load_state_dict(fits, strict=False)
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": ("segmentation",)},
        {"heads": ("detection", "segmentation", "trajectory", "layout")},
        {"name": "other"},
        {"window_tiles": (-2, -2, 4, 4)},
        {"neck_widths": (8, 8, 16)},
        {"horizon": 2},
    ],
)
def test_what_a_uav_does_with_features_does_not_change_what_they_mean(changes: dict[str, object]) -> None:
    assert wire_fingerprint(model(**changes)) == wire_fingerprint(model())
    assert state_fingerprint(model(**changes)) != state_fingerprint(model())


@pytest.mark.parametrize(
    "changes",
    [
        {"cell_size_m": 0.5},
        {"heights_m": (0.0, 1.4)},
        {"image_width": 96},
        {"quantisation_levels": 7},
        {"low_channels": 8},
        {"fill_radius": 1},
        {"max_depth_m": 100.0},
    ],
)
def test_what_changes_the_meaning_changes_the_fingerprint(changes: dict[str, object]) -> None:
    assert wire_fingerprint(model(**changes)) != wire_fingerprint(model())


@pytest.mark.parametrize("part", ["encoder", "embed", "compression", "interaction", "neck", "heads"])
def test_weights_count_where_they_make_what_travels(part: str) -> None:
    changed = model()
    with torch.no_grad():
        next(p for n, p in changed.named_parameters() if n.startswith(part + ".")).add_(SHIFT)
    on_the_wire = part not in ("neck", "heads")
    assert (wire_fingerprint(changed) != wire_fingerprint(model())) is on_the_wire
    assert (trunk_fingerprint(changed) != trunk_fingerprint(model())) is (part != "heads")
    assert state_fingerprint(changed) != state_fingerprint(model())


def test_uavs_with_different_tasks_fuse_each_others_features(tmp_path: Path) -> None:
    save_model(tmp_path / "one", model(heads=("detection", "layout")), {})
    save_model(tmp_path / "two", model(heads=("segmentation",)), {})
    one, two = Perception.load(tmp_path / "one"), Perception.load(tmp_path / "two")
    assert one.fingerprint == two.fingerprint == load_model(tmp_path / "one")[2]
    from support.painted import PaintedScene

    view = PaintedScene().load(0).views[0]
    bev = one.perceive(view.image, view.K, view.T_map_camera)
    packets = encode_frame(one.compress(bev, 30), fingerprint=one.fingerprint)
    assert all(decode_packet(p, expected=Expected(fingerprint=two.fingerprint)) for p in packets)
    stranger = Perception.random(CONFIG, seed=5)
    with pytest.raises(FingerprintMismatch):
        decode_packet(packets[0], expected=Expected(fingerprint=stranger.fingerprint))


def test_heads_of_other_modules_are_found_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_HEADS", dict(registry._HEADS))
    (tmp_path / "their_head.py").write_text(
        "from rsdfm_ros.model.heads.registry import Head, register_head\n"
        "@register_head('theirs')\n"
        "class Theirs(Head):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" not in head_names()
    import_plugins(["their_head"])
    assert "theirs" in head_names()
    with pytest.raises(RsdfmError, match="cannot import nobody_has_this"):
        import_plugins(["nobody_has_this"])

    with pytest.raises(RsdfmError, match="two heads are called 'theirs'"):

        @register_head("theirs")
        class Other(Head):
            pass


def test_heads_of_installed_packages_are_found_by_their_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_HEADS", dict(registry._HEADS))
    package = tmp_path / "installed_head.py"
    package.write_text(
        "from rsdfm_ros.model.heads.registry import Head, register_head\n"
        "@register_head('installed')\n"
        "class Installed(Head):\n"
        "    pass\n"
    )
    info = tmp_path / "installed_head-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-head\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rsdfm_ros.heads]\ninstalled = installed_head\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "installed" in head_names()
    assert len(CLASSES) == 4 and ModelConfig("x").heads == registry.BUILT_IN

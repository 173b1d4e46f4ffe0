"""The folder of a training run (`--out`): the run the run the run whose checkpoints it holds, and the finished model in
it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rsdfm_ros.data.nuscenes import SceneInfo
from rsdfm_ros.model.manifest import MANIFEST, ModelStoreError
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, save_model, state_fingerprint
from rsdfm_ros.outputs import LOCK, OutputError, locked_folder, write_json
from rsdfm_ros.training.config import TrainingConfig

MODEL = "model"
RECORD = "run.json"
"""File that identifies the run of the folder, written at its start."""
_OWNED = (
    RECORD,
    "*.pt",
    "*features.f16",
    "*features.done",
    "log.jsonl",
    "tensorboard",
    ".*.tmp*",
    ".model.*",
)
_FREE = ("steps", "distil_steps", "temporal_steps", "codec_steps", "head_steps")
"""Settings that may change when a run is continued, because they set its length."""


def identity(
    model: dict[str, Any],
    config: TrainingConfig,
    scenes: Sequence[SceneInfo],
    *,
    init: str | None,
    head: str | None,
    stages: Sequence[str],
    teacher: str | None = None,
    frozen_encoder: bool = False,
) -> dict[str, Any]:
    """Everything that determines the weights of a run beside its length, by name.

    init, teacher: SHA-256 of the weights that it starts from and that it learns from.
    """
    facts = [(s.name, s.seed, s.frames, list(s.agents), s.depth) for s in scenes]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    settings = {f"training.{k}": v for k, v in dataclasses.asdict(config).items() if k not in _FREE}
    return json.loads(  # type: ignore[no-any-return]
        json.dumps(
            {
                "--head": head,
                "--stages": None if head else [*stages],
                "--init": None if init is None else f"a model {init[:12]}",
                "--freeze-encoder": frozen_encoder or None,
                "--teacher": None if teacher is None else f"a model {teacher[:12]}",
                "--data": f"{len(scenes)} scenes with {sum(s.frames for s in scenes)} frames ({digest})",
                **({} if head else {f"model.{k}": v for k, v in model.items()}),
                **settings,
            }
        )
    )


@contextlib.contextmanager
def run_folder(path: Path, what: dict[str, Any], *, force: bool) -> Iterator[None]:
    """Keep other runs out of the folder, which is new or holds an earlier part of the same run.

    what: see `identity` · force: begin anew, over any run in the folder; its finished model stays until the new one
    replaces it. Raises: OutputError before anything is changed.
    """
    with locked_folder(path):
        names = sorted(p.name for p in path.iterdir() if p.name != LOCK)
        record = path / RECORD
        strangers = [n for n in names if not _is_ours(path / n)]
        if strangers and not record.is_file():
            raise OutputError(
                f"--out {path} holds {', '.join(strangers[:3])} and no training run; choose another folder"
            )
        if force:
            for name in set(names) - set(strangers) - {MODEL}:
                _remove(path / name)
        elif names:
            _require_same(path, record, what)
        write_json(record, what, indent=1)
        yield


def publish(out: Path, model: RSDFM, about: dict[str, Any]) -> tuple[Path, bool]:
    """Replace `<out>/model` by the model as a whole: until then an earlier one stays; returns whether it was another
    one.

    A folder with the same weights is left as it is, with any additions to its manifest.
    """
    folder = out / MODEL
    with contextlib.suppress(ModelStoreError):
        if state_fingerprint(load_model(folder)[0]) == state_fingerprint(model):
            return folder, False
    new, old = (out / f".{MODEL}.{os.getpid()}.{word}" for word in ("new", "old"))
    try:
        save_model(new, model, about)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        _remove(new)
        _remove(old)
    return folder, True


def _is_ours(path: Path) -> bool:
    if path.name == MODEL:
        return (path / MANIFEST).is_file()
    return any(fnmatch(path.name, pattern) for pattern in _OWNED)


def _require_same(path: Path, record: Path, what: dict[str, Any]) -> None:
    cure = "choose another --out, or start over there with --force"
    try:
        recorded = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        recorded = None
    if not isinstance(recorded, dict):
        raise OutputError(f"--out {path} holds results of training without a readable {RECORD}; {cure}")
    different = [
        f"{key} {_shown(recorded.get(key))} there, {_shown(what.get(key))} asked"
        for key in dict.fromkeys([*what, *recorded])
        if recorded.get(key) != what.get(key)
    ]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise OutputError(
            f"--out {path} holds another training run: {', '.join(different[:3])}{more}; {cure}"
        )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

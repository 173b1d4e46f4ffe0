"""The file that `rsdfm evaluate --json` writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.provenance import provenance


def write_results(
    args: argparse.Namespace,
    perception: Perception,
    content: Mapping[str, Any],
    seed: int | None,
    *,
    say: bool = True,
) -> None:
    """Write results with their provenance to --json, if that was given. seed: of the first simulated scene."""
    if args.json is None:
        return
    origin = provenance(seed=seed, model=args.model, fingerprint=perception.fingerprint)
    write_json(args.json, {**content, "provenance": origin})
    if say:
        print(f"results written to {args.json}", file=sys.stderr)

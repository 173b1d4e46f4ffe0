"""The command line with trivial programs instead of the processes of a fleet: STAND_IN=MODE stand_in.py fleet …

The rest is as a person types it. MODE is `ends` (after a whole mission), `fails` (after half of one), or `waits` (for
a file `go` in the working folder, or until it is stopped; what it then leaves looks whole, as an evaluator's does).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

RESULT = '{"protocol": {"frames_answered": 3, "agents": ["uav1"]}, "results": [], "provenance": {}}'


def program(out: Path, mode: str, judged: bool) -> int:
    """Stand-in for every process: writes the files that an evaluator, or a recorder, would."""
    (out / "bag").mkdir()
    (out / "bag" / "bag_0.mcap").write_text(str(time.time_ns()))
    if mode == "fails":
        return 3
    try:
        (out / "status.jsonl").touch()
        if mode == "waits":
            Path("running").touch()
        while mode == "waits" and not Path("go").exists():
            time.sleep(0.02)
    except KeyboardInterrupt:
        pass
    (out / "bag" / "metadata.yaml").write_text("{}")
    if judged:
        (out / "result.json").write_text(RESULT)
    return 0


def recorder(bag: Path, mode: str) -> int:
    """Stand-in for record_node."""
    (bag / f"{bag.name}_0.mcap").write_text(str(time.time_ns()))
    if mode == "fails":
        return 3
    (bag / "metadata.yaml").write_text("{}")
    return 0


def command(*words: str) -> tuple[str, ...]:
    """This file as a program."""
    return (sys.executable, __file__, *words)


def main() -> int:
    """Put the programs in place and run the command line."""
    from rsdfm_ros import cli
    from rsdfm_ros.fleet import mission
    from rsdfm_ros.fleet.commands import bag_record
    from rsdfm_ros.fleet.specification import EVALUATOR, UAV, NodeSpec

    mode = os.environ["STAND_IN"]

    def specifications(fleet: Any, out: Path, about: Any) -> list[NodeSpec]:
        judged = fleet.evaluator.enabled
        words = command("--program", str(out), mode, str(judged))
        return [NodeSpec("evaluator" if judged else "uav1", EVALUATOR if judged else UAV, "", command=words)]

    def record_specification(out: Path, parameters: Any, *, domain: int) -> NodeSpec:
        return NodeSpec("recorder", "companion", "", command=command("--recorder", str(out), mode))

    mission.node_specifications = specifications
    bag_record.record_specification = record_specification
    if sys.argv[1] == "demo":
        from rsdfm_ros.fleet.commands import demo

        def make_report(run: Any, out: Path) -> list[Path]:
            (out / "report.html").write_text("page")
            return [out / "report.html"]

        demo.make_report = make_report
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    if sys.argv[1] == "--program":
        sys.exit(program(Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "True"))
    if sys.argv[1] == "--recorder":
        sys.exit(recorder(Path(sys.argv[2]), sys.argv[3]))
    sys.exit(main())

"""Next steps after a mission: commands that work with its files."""

from __future__ import annotations

from pathlib import Path

from rsdfm_ros.words import path_word, program

NextStep = tuple[str, str]
"""Description and command."""


def steps_with(folder: Path, *, paged: bool = False, place: Path | None = None) -> list[NextStep]:
    """Next steps with the folder of a run.

    paged: whether it has its page · place: where the folder will be, if it is still to be moved.
    """
    place = place or folder
    here = path_word(place)
    frames, bag = any((folder / "frames").glob("*.npz")), folder / "bag"
    steps: list[NextStep] = []
    if frames and not paged:
        steps.append(("make a page of it, with a video", f"{program()} report {here}"))
    if frames:
        steps.append(("look through cameras, maps and boxes in a browser", f"{program()} view {here}"))
    if bag.is_dir():
        steps.append(
            (
                "compute the recorded flight anew and score it",
                f"{program()} bag evaluate {path_word(place / bag.name)}",
            )
        )
    return steps


def steps_after_demo(folder: Path, seed: int, place: Path | None = None) -> list[NextStep]:
    """The same, and further missions and figures. seed: of the world that was flown."""
    place = place or folder
    other = place.with_name(f"{place.name.removesuffix(f'-{seed}')}-{seed + 1}")
    return [
        *steps_with(folder, paged=True, place=place),
        (
            "fly over another place",
            f"{program()} demo --seed {seed + 1} --out {path_word(other)}",
        ),
        ("compare ways to collaborate, on fewer frames", f"{program()} evaluate --scenes 1 --frames 12"),
    ]


def steps_text(steps: list[NextStep]) -> str:
    """Steps as lines for a terminal."""
    width = max((len(command) for _, command in steps), default=0)
    return "\n".join(["What to try next:", *(f"  {command:<{width}}  # {what}" for what, command in steps)])

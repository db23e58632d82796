"""Write the YAML files in evals/ that make lidr's benchmarks tasks of lm-eval.

    python -m lidr.evals.harness.task_files          writes them; a test says when they are not current

A benchmark's folder holds `_base` (no .yaml, so lm-eval takes it for no task), four lines for each language and form of
the prompt, and groups. They hold names and settings only; what they do is in the package. A benchmark module has
`task_files() -> {path in evals/: text}`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

BENCHMARKS = ("lidr.evals.mgsm.mgsm_task_files", "lidr.evals.x_alpacaeval.x_alpacaeval_task")


def task_files() -> dict[str, str]:
    """Every generated file, by its path in evals/."""
    files: dict[str, str] = {}
    for name in BENCHMARKS:
        files |= importlib.import_module(name).task_files()
    return files


def write_task_files(folder: Path) -> list[Path]:
    """Write them into a folder; task files there that are generated no more are taken away.

    Returns:
        The paths written, sorted.
    """
    files = task_files()
    for benchmark in {Path(name).parts[0] for name in files}:
        for old in sorted((folder / benchmark).glob("lidr_*.yaml")):
            if old.relative_to(folder).as_posix() not in files:
                old.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return sorted(folder / name for name in files)


if __name__ == "__main__":
    from lidr.resources import shared

    for written in write_task_files(shared("evals")):
        print(written)

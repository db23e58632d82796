"""The GPU hours that the shipped recipes state: those of `lidr plan` on its usual card.

python -m tests.recipe.gpu_hours         writes them into the recipes and their README
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from lidr import pipeline
from lidr.cli.plan import hours_of
from lidr.cli.recipe.ls import shipped
from lidr.resources import shared

CARD = "A100 80GB"
README = shared("recipes") / "README.md"
_HEAD = re.compile(r"Hardware: .*GPU hours by plan.*\(an estimate[^)]*\)")


def gpu_hours(path: Path) -> str:
    """As `lidr plan --set runtime.gpu=...` prints them, without what it says of the work that is not in them."""
    planned = pipeline.plan(pipeline.load_recipe(path, overrides=[f"runtime.gpu={CARD}"]))
    costs = pipeline.costs_of(planned)
    assert costs.gpu_hours is not None
    assert costs.measured_s == 0
    left_out = dict.fromkeys(one.what.partition(":")[0] for one in costs.beside)
    more = f" without {', '.join(left_out)}" if left_out else ""
    return f"{hours_of(costs.gpu_hours, is_estimated=True)}{more}"


def head(hours: str) -> str:
    """What a recipe's first lines say."""
    return f"Hardware: one {CARD}. GPU hours by plan: {hours} (an estimate: recipes/README.md)"


def row(name: str) -> str:
    """The last cell of a recipe's row of the README."""
    line = next(one for one in README.read_text(encoding="utf-8").splitlines() if one.startswith(f"| [{name}]({name}"))
    return line.split("|")[-2].strip()


def main() -> None:
    """Write them."""
    os.environ["LIDR_STORE"] = tempfile.mkdtemp()  # nothing measured on this machine goes in
    os.environ.pop("LIDR_DATA", None)
    page = README.read_text(encoding="utf-8")
    for name, path in shipped().items():
        text = path.read_text(encoding="utf-8")
        if not _HEAD.search(text):
            continue
        hours = gpu_hours(path)
        path.write_text(_HEAD.sub(head(hours), text), encoding="utf-8")
        page = re.sub(rf"(?m)^(\| \[{name}\]\(.*\| )[^|]*(?= \|$)", rf"\g<1>{hours}", page)
        print(f"{name}: {hours}", flush=True)
    README.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The table of families in docs/models.md, from tests/proofs/families.json: `python -m tests.families.family_table`."""

from __future__ import annotations

import json
import re

from tests.documents.blocks import ROOT
from tests.families.chain import CELLS
from tests.families.family_proof import VLLM, read
from tests.families.shapes import FAMILIES, Family

PAGE = ROOT / "docs" / "models.md"
_TABLE = re.compile(r"(?<=<!-- families -->\n).*?(?=<!-- end of families -->)", re.S)


def table() -> str:
    """One row a family: each cell yes, no where lidr refuses (the note says why), or not run."""
    columns = [*CELLS, VLLM]
    rows = [["family", *columns, "note"], ["---"] * (len(columns) + 2)]
    families = read()["families"]
    for name, family in FAMILIES.items():
        cells = families.get(name, {"cells": {}})["cells"]
        said = [cells.get(column, "not run") for column in columns]
        rows.append([family.label, *(text.partition(":")[0] for text in said), _note(family, said)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _note(family: Family, said: list[str]) -> str:
    asked = json.dumps(family.chat_template).replace('"', "")
    notes = [f"`policy.chat_template: {asked}`"] if family.chat_template else []
    reasons = dict.fromkeys(text.partition(": ")[2] for text in said if ": " in text)
    return "; ".join([*notes, *([family.note] if family.note else []), *reasons]).replace("|", "\\|")


def written() -> str:
    """The page with the table of today."""
    found = table()
    return _TABLE.sub(lambda _: found, PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
    print(f"{PAGE.name}: written")

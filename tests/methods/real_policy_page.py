"""The section on a real policy in docs/methods.md, from tests/proofs/real_policy.json.

python -m tests.methods.real_policy_page
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tests.documents.blocks import ROOT
from tests.methods.real_policy import LANGUAGES
from tests.methods.real_policy_outcome import GROUPS

PAGE = ROOT / "docs" / "methods.md"
FILE = ROOT / "tests" / "proofs" / "real_policy.json"
LABELS = {"lidr": "LIDR", "swapped": "swapped", "sft": "SFT", "strict": "LIDR, strict"}
_SECTION = re.compile(r"(?<=<!-- real policy -->\n).*?(?=<!-- end of real policy -->)", re.S)
_USABLE = ("ok", "unclosed_at_end")
"""Statuses of a translation that is whole and in the language that was wanted."""


def section(proof: dict[str, Any] | None) -> str:
    """What came out, as tables; arms that were not run say so."""
    if not proof or not proof["arms"]:
        return "**Not run yet.**\n"
    parts = [_arms(proof), _differences(proof), _made_of(proof["arms"]), _when(proof["arms"])]
    return "\n".join(part for part in parts if part)


def _arms(proof: dict[str, Any]) -> str:
    arms, found = proof["arms"], proof.get("outcome", {}).get("against_untrained", {})
    head = ["arm", "language", "off-target", "log-likelihood of the reference", "change", "likelier", "win"]
    lines = []
    for arm, label in LABELS.items():
        if arm not in found:
            why = "ended" if "ended" in arms.get(arm, {}) else "not measured yet" if arm in arms else "not run"
            lines.append([label, why, *[""] * (len(head) - 2)])
            continue
        for group in GROUPS:
            one = found[arm][group]
            off = f"{one['off_target_before'][0]:.2f} -> {one['off_target_after'][0]:.2f}"
            logp = f"{one['logp_before'][0]:.3f} -> {one['logp_after'][0]:.3f}"
            more = [_signed(one["logp_change"]), f"{one['likelier'][0]:.2f}", _share(one["win"])]
            lines.append([label, "es, fr, de" if group == "others" else group, off, logp, *more])
    return _table(head, lines)


def _differences(proof: dict[str, Any]) -> str:
    found = proof.get("outcome", {}).get("lidr_against", {})
    lines = [
        [f"LIDR - {LABELS[arm]}", "es, fr, de" if group == "others" else group,
         *(_signed(of_group[name]) for name in ("logp_change", "win", "off_target_after"))]
        for arm, of_arm in found.items()
        for group, of_group in of_arm.items()
    ]  # fmt: skip
    return _table(["difference", "language", "log-likelihood", "win", "off-target"], lines) if lines else ""


def _made_of(arms: dict[str, Any]) -> str:
    """Of what the pairs were made: the same for every trained arm."""
    known = next((one for one in arms.values() if "translations" in one), None)
    if known is None:
        return ""
    lines = []
    for way, statuses in known["translations"].items():
        whole = sum(statuses.values())
        usable = sum(statuses.get(status, 0) for status in _USABLE)
        rest = Counter({status: count for status, count in statuses.items() if status not in _USABLE})
        said = ", ".join(f"{status} {count}" for status, count in rest.most_common())
        lines.append([way.replace(">", " to "), f"{usable} of {whole}", said or "-"])
    table = _table(["translation", "whole and in its language", "the others"], lines)
    head = ["pairs trained on (whose rejected text is in another language)", *LANGUAGES]
    rows = [[LABELS[arm], *_counted(one)] for arm, one in arms.items() if "pairs" in one]
    return f"{table}\n{_table(head, rows)}"


def _counted(arm: dict[str, Any]) -> list[str]:
    elsewhere = arm["rejected_elsewhere"]
    return [f"{arm['pairs'][code]} ({elsewhere[code]})" for code in LANGUAGES]


def _when(arms: dict[str, Any]) -> str:
    told = [
        f"{arm} {one['seconds'] / 60:.0f} min at commit {one['commit'][:10]}, {one['machine']['cpus']} CPUs"
        for arm, one in arms.items()
    ]
    return f"Measured: {'; '.join(told)}.\n"


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines))


def _signed(number: list[float | None]) -> str:
    value, low, high = number
    if value is None or low is None or high is None:
        return "-"
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _share(number: list[float]) -> str:
    value, low, high = number
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def written() -> str:
    """The page with the section of today."""
    proof = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else None
    body = f"{section(proof)}\n"
    return _SECTION.sub(lambda _: body, PAGE.read_text(encoding="utf-8"))


def write() -> None:
    """Write it."""
    PAGE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    write()
    print(PAGE.name)

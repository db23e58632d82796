"""One HTML page about a run: nothing from a network, pictures inside, all text from data escaped.

Its style and its one small script stand in the page, and the page's policy names their hashes: nothing else can run.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.hub import without_paths
from lidr.languages import LANGUAGES
from lidr.markup import PAIR_STYLE, Html, language_name, pair_article
from lidr.report.html.headline import Headline, headline, headline_picture
from lidr.report.html.pair_rows import choices, shown_rows
from lidr.report.record_reading import of_records
from lidr.report.sections import sections
from lidr.report.summary import summary_of

if TYPE_CHECKING:
    from lidr.report.run_state import RunState

_HERE = Path(__file__).parent
_MOST_MISSING = 6
_LABELS = {"state": "kept or dropped", "language": "language", "kind": "kind", "iteration": "iteration"}


@of_records
def page(run: RunState, failure: str | None = None) -> str:
    """The page as text; the same records give the same bytes.

    Args:
        failure: why the run could not go on, where that is not in its records.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=True, keep_trailing_newline=True
    )
    lidr = run.records[-1].versions.get("lidr")
    style = Html(PAIR_STYLE + (_HERE / "page.css").read_text(encoding="utf-8"))
    script = Html((_HERE / "page.js").read_text(encoding="utf-8"))
    failed = (f"The run stopped with an error: {without_paths(failure)}",) if failure else ()
    tone = "negative" if run.is_negative or failure else run.state.replace("not finished", "unfinished")
    return environment.get_template("page.html.jinja").render(
        name=run.recipe.name,
        version=run.recipe.version,
        lead=lead(run),
        state=(*failed, *state_sentences(run)),
        tone=tone,
        sections=sections(run),
        made_by=f", lidr {lidr}" if lidr else "",
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
        **_top(run),
        **_pairs(run),
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _top(run: RunState) -> dict[str, Any]:
    """Headline, picture and the few figures beside them."""
    found = headline(run)
    dominant = LANGUAGES[run.recipe.languages.dominant].name
    return {
        "headline": found,
        "picture": Html(headline_picture(found)) if found else "",
        "names": {change.language: language_name(change.language) for change in found.changes} if found else {},
        "dominant": dominant,
        "gaps": sum(change.closed is not None for change in found.changes) if found else 0,
        "facts": list(_facts(run, found)),
    }


def _facts(run: RunState, found: Headline | None) -> list[tuple[str, str]]:
    facts = []
    summary = summary_of(run.recipe, run.records)
    if summary.account:
        facts.append(("pairs kept", summary.kept_said))
    if run.result is not None:
        facts.append(("the run's policy", f"iter_{run.result}" if run.result else "the first one"))
    if found is not None and found.mean is not None:
        facts.append(("mean change", found.points(found.mean)))
    return facts


def _pairs(run: RunState) -> dict[str, Any]:
    """The articles, and what they can be filtered by."""
    rows = shown_rows(run)
    kept = sum(data["state"] == "kept" for _, data in rows)
    lost = len(rows) - kept
    some = f"{kept:,} pairs" + (f" and {lost:,} dropped slots" if lost else "") + " of this run, some of each kind."
    articles = [
        pair_article(shown, address=f"#pair-{number}", anchor=f"pair-{number}", **data)
        for number, (shown, data) in enumerate(rows, 1)
    ]
    return {
        "pairs": articles,
        "choices": {name: values for name, values in choices(rows).items() if name in _LABELS},
        "labels": _LABELS,
        "has_margins": any(data["margin"] for _, data in rows),
        "some": some,
    }


def lead(run: RunState) -> str:
    """Languages and first policy, in one line."""
    languages = run.recipe.languages
    others = ", ".join(LANGUAGES[code].name for code in languages.others)
    return f"{LANGUAGES[languages.dominant].name} to {others}; first policy {without_paths(run.recipe.policy.model)}"


def state_sentences(run: RunState) -> tuple[str, ...]:
    """How far it is, why it ended, which policy is best, and what no longer fits the recipe."""
    done, missing = len(run.records), len(run.missing)
    if run.missing:
        begun = f"; {', '.join(run.begun)} is at work or was interrupted" if run.begun else ""
        shown = ", ".join(run.missing[:_MOST_MISSING]) + (", ..." if missing > _MOST_MISSING else "")
        said = [f"Not finished: {done:,} of {done + missing:,} steps are made{begun}. Still to make: {shown}."]
    else:
        said = [f"Finished: {done:,} steps in {run.iterations} iteration{'' if run.iterations == 1 else 's'}."]
    if run.outcome.why:
        said.append(f"Ended early: {run.outcome.why}.")
    if run.best is not None:
        said.append(_best(run))
    return (*said, *run.differs)


def _best(run: RunState) -> str:
    named = "the first policy" if run.best == 0 else f"that of iter_{run.best}"
    so_far = " so far" if run.missing else ""
    worse = "; no policy of this run is better than the one that it started from" if run.is_negative else ""
    return f"The best policy{so_far} is {named}{worse if run.best == 0 else ''}."

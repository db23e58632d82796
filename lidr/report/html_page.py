"""One HTML page about a run: no script, nothing from a network, pictures inside, all text from data escaped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lidr.hub import without_paths
from lidr.languages import LANGUAGES
from lidr.report.samples import sample_pairs
from lidr.report.sections import sections

if TYPE_CHECKING:
    from lidr.report.run_state import RunState

_TEMPLATE = "page.html.jinja"
_MOST_MISSING = 6


def page(run: RunState) -> str:
    """The page as text; the same records give the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
    )
    lidr = run.records[-1].versions.get("lidr")
    return environment.get_template(_TEMPLATE).render(
        name=run.recipe.name,
        version=run.recipe.version,
        lead=lead(run),
        state=state_sentences(run),
        tone="negative" if run.is_negative else run.state.replace("not finished", "unfinished"),
        sections=sections(run),
        samples=sample_pairs(run),
        made_by=f", lidr {lidr}" if lidr else "",
    )


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

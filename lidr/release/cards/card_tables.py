"""The tables of cards: counts, drops, settings with provenance, parents, samples. Each is plain Markdown text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lidr.hub import without_paths
from lidr.recipe import template_kwargs
from lidr.release.cards.rendering_rules import card_rules
from lidr.release.parents import Parent
from lidr.rows import language_heading

if TYPE_CHECKING:
    from lidr.release.finished import Finished
    from lidr.store import Record

_LONGEST_SAMPLE = 400
_NUMBER = re.compile(r"[+-]?[\d,]+(\.\d+)?")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns of numbers flush right.

    >>> print(markdown_table(("a", "n"), [("x|y", "1")]))
    | a | n |
    | :-- | --: |
    | x\\|y | 1 |
    """
    is_number = [all(_NUMBER.fullmatch(row[i]) for row in rows) for i in range(len(columns))]
    ruler = ["--:" if number else ":--" for number in is_number]
    lines = [columns, ruler, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<!--", "&lt;!--").split())


def counts_table(run: Finished) -> str:
    """Pairs by iteration, non-dominant language and kind."""
    rows = []
    for iteration in run.iterations:
        record = run.written("pairs", iteration).record
        rows += [
            (f"iter_{iteration}", row["language"], row["kind"], f"{row['count']:,}") for row in record.counts["kept"]
        ]
    total = sum(row["count"] for k in run.iterations for row in run.written("pairs", k).record.counts["kept"])
    heading = language_heading(row[2] for row in rows) if card_rules(run) > 1 else "language"
    return markdown_table(("split", heading, "kind", "pairs"), [*rows, ("all", "", "", f"{total:,}")])


def drops_table(run: Finished) -> str:
    """Dropped slots by step and reason; reasons that never came up are left out and counted in a sentence."""
    counts: dict[tuple[str, str], dict[int, int]] = {}
    for record in run.records:
        for row in record.counts.get("dropped", ()):
            at = counts.setdefault((record.step, row["reason"]), {})
            at[record.iteration] = at.get(record.iteration, 0) + row["count"]
    seen = {key: at for key, at in counts.items() if sum(at.values())}
    never = f"{len(counts) - len(seen)} reasons that were looked for never came up."
    if not seen:
        return f"Nothing was dropped; {never}"
    columns = ("step: reason", *(f"iter_{k}" for k in run.iterations))
    rows = [
        (f"{step}: {reason}", *(f"{at.get(k, 0):,}" for k in run.iterations)) for (step, reason), at in seen.items()
    ]
    return f"{markdown_table(columns, rows)}\n\n{never}"


def slots_sentence(run: Finished) -> str:
    """Where every slot is that is no pair: in `dropped`, or left out because the recipe does not ask for it."""
    left: Counter[str] = Counter()
    for record in run.records:
        for row in record.counts.get("not_requested", ()):
            left[row["reason"]] += row["count"]
    said = ", ".join(f"{count:,} by `{reason}`" for reason, count in sorted(left.items()) if count)
    slot = f"slot (prompt, {'language' if run.recipe.are_pairs_sampled else 'other language, kind'})"
    if not said:
        return f"Every {slot} is a pair or stands in the configuration `dropped` with its reason."
    what = "row of the sets" if run.recipe.prompts is None else slot
    return (
        f"Every {what} is a pair, stands in the configuration `dropped` with its reason, or was left out because the "
        f"recipe does not ask for it: {said}."
    )


def prompts_sentence(run: Finished) -> str:
    """Who translated the prompts, where they were given in the dominant language alone; empty where they were not."""
    if (parallel := run.recipe.parallel) is None:
        return ""
    languages = run.recipe.languages
    who = "the first policy itself"
    if parallel.by is not None:
        who = "a file of translations" if parallel.by.file is not None else "another model, named under the pins"
    return (
        f"The prompts were given in {languages.dominant} alone: those in {', '.join(languages.others)} are "
        f"translations by {who}, and nobody checked them."
    )


def thoughts_sentence(run: Finished) -> str:
    """What became of the policy's thoughts, where it had any."""
    counts = [record.counts.get("thoughts", {}) for record in run.records if record.step == "generate"]
    answers = sum(count.get("answers", 0) for count in counts)
    if not answers:
        return ""
    where = "are no part of this release"
    if run.publishes_thoughts:
        where = "stand in the column `reasoning` of `candidates`"
    reasoning = run.recipe.policy.reasoning
    trained = " Training saw them, too." if reasoning is not None and reasoning.train else ""
    return f"Before {answers:,} of its answers the policy thought. These thoughts {where}.{trained}"


def settings_table(run: Finished) -> str:
    """Every setting of every step, with where its value comes from."""
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate(run.recipe.chain):
        if step.name == "publish":
            continue
        given = _given(step.config)
        for path, value in _leaves(step.config.model_dump(mode="json")):
            known = run.recipe.provenance.get(f"chain[{number}].{step.name}.{path}")
            kind = known.provenance if known else "ours" if path in given else "default of lidr"
            shown = without_paths(json.dumps(value, ensure_ascii=False))
            rows.append((f"`{step.name}.{path}`", f"`{shown}`", kind, (known and known.source) or ""))
    rows.append(("`seed`", f"`{run.recipe.seed}`", _provenance(run, "seed"), ""))
    return markdown_table(("setting", "value", "provenance", "source"), rows)


def template_sentence(run: Finished, *, is_pairs: bool) -> str:
    """With which switches and date the policy's chat template wrote prompts; empty where it wrote as it does alone."""
    first = next((record for record in run.records if record.writes == "initial_policy"), None)
    fixed = first.counts.get("chat_template") or {} if first is not None else {}
    kwargs = template_kwargs(run.recipe.policy.chat_template)
    said = [f"`{name}: {json.dumps(value, ensure_ascii=False)}`" for name, value in sorted(kwargs.items())]
    if fixed.get("date"):
        said.append(f"today's date as {fixed['date']}")
    if not said:
        return ""
    text = f"Every prompt was written by the policy's chat template with {', '.join(said)}."
    if kwargs and is_pairs:
        text += " TRL hands each row's `chat_template_kwargs` to the template, so that it trains on the same prompts."
    elif kwargs:
        text += " Give `apply_chat_template` the same, to ask the policy as it was trained."
    return text


def plain_translations(run: Finished) -> str:
    """How many translations were asked without a started answer; empty where all were started, or nobody says."""
    made = [r for r in run.records if r.writes == "translations"]
    served = [(said, count) for r in made for said, count in (r.execution.get("served") or {}).items()]
    plain = sum(count for said, count in served if "no started answer" in said)
    if not plain:
        return ""
    total = sum(count for _, count in served)
    return f"{plain:,} of {total:,} requests for translations had no started answer: server or template takes none."


def _provenance(run: Finished, path: str) -> str:
    known = run.recipe.provenance.get(path)
    return known.provenance if known else "ours" if path in run.recipe.model_fields_set else "default of lidr"


def _given(config: Any) -> set[str]:
    """Paths of the settings that the recipe writes down."""
    return {path for path, _ in _leaves(config.model_dump(mode="json", exclude_unset=True))}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{path}.{key}".removeprefix("."))
    else:
        yield path, value


def parents_table(parents: Sequence[Parent]) -> str:
    """What it was made from, each with its licence."""
    rows = [
        (
            parent.role,
            f"[{parent.name}]({parent.link})" if parent.link else f"`{parent.name}`",
            f"`{parent.revision}`" if parent.revision else "",
            f"[{parent.licence or 'unknown'}]({parent.licence_link})"
            if parent.licence_link
            else parent.licence or "unknown",
        )
        for parent in parents
    ]
    return markdown_table(("made from", "name", "revision", "licence"), rows)


def pins_table(run: Finished) -> str:
    """What fixes this release: recipe, first policy, prompts, versions."""
    rows = [
        ("recipe", f"{run.recipe.name} {run.recipe.version}"),
        ("SHA-256 of the recipe", f"`{run.recipe_sha256}`"),
        *((f"{parent.role} `{parent.name}`", _pin(parent)) for parent in run.parents),
        *((name, version) for name, version in run.records[-1].versions.items()),
    ]
    return markdown_table(("what", "pin"), rows)


def _pin(parent: Parent) -> str:
    if parent.revision:
        return f"`{parent.revision}`"
    return "by content, in `lidr/records/`" if parent.role == "prompts" else "not pinned"


def training_table(records: Sequence[Record]) -> str:
    """Losses and margins of each trained policy."""
    names = ("pairs", "loss", "dpo", "nll", "margin", "accuracy")
    rows = [(record.place, *(_number(record.counts[name]) for name in names)) for record in records]
    return markdown_table(("policy", *names), rows)


def adapted_sentence(records: Sequence[Record]) -> str:
    """Which layers of the last trained policy got an adapter, and which did not; empty where none was counted."""
    counts = records[-1].counts if records else {}
    if not counts.get("adapted"):
        return ""
    left = counts.get("not_adapted")
    said = f"Layers with a LoRA adapter: {_kinds(counts['adapted'])}; "
    return said + (
        f"as they were: {_kinds(left)}, embeddings and head." if left else "embeddings and head as they were."
    )


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items())


def groups_table(records: Sequence[Record]) -> str:
    """Margins by language and kind; empty when none were measured."""
    rows = [
        (record.place, g["language"], g["kind"], f"{g['pairs']:,}", f"{g['margin']:+.4f}", f"{g['accuracy']:.3f}")
        for record in records
        for g in record.counts.get("groups", ())
    ]
    return markdown_table(("policy", "language", "kind", "pairs", "margin", "accuracy"), rows) if rows else ""


def _number(value: float | None) -> str:
    if value is None:  # trained on the NLL alone
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def sample_block(row: dict[str, Any]) -> str:
    """One row as JSON in a fence that its text cannot close; long texts are cut and say so."""
    text = json.dumps(_shortened(row), ensure_ascii=False, indent=1)
    text = text.replace("<!--", "\\u003c!--")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{text}\n{fence}"


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_SAMPLE:
        return value[:_LONGEST_SAMPLE] + f"... ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: _shortened(child) for key, child in value.items() if child is not None}
    return [_shortened(child) for child in value] if isinstance(value, list) else value

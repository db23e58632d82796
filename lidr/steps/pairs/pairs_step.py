"""pairs: a run that starts from pushed pairs instead of making them: one set, or a mixture of several.

    - pairs: {dataset: org/x-prefs, revision: v1.0.0}
    - pairs:
        sets:
          - {dataset: org/x-prefs, revision: v1.0.0, languages: [de], weight: 3}
          - {dataset: org/others, revision: main, split: train_prefs, language: en, weight: 1, cap: 5000,
             columns: {prompt: question, chosen: good, rejected: bad}}

A tag is resolved to a commit once, by `lidr lock`. The mixture is the sets one after the other, each in its order. With
weights, sets stand in these proportions, the largest such mixture that needs no row twice; a cap is the most rows of a
set. Which rows are taken is drawn by a hash of seed, set and row number: the same on every machine.

Where pairs have weights of their own (how much each counts in training, see `pair_weights`), these go through, and the
pairs of other sets count 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lidr import preferences
from lidr.errors import LidrError, RowError
from lidr.recipe import template_kwargs
from lidr.references import RunReference, parse_reference
from lidr.rows import Pair
from lidr.steps.ledger import Ledger
from lidr.steps.local_policy import is_trained, refused_system
from lidr.steps.pairs.pair_weights import is_left_out, mapped_of, unread_note
from lidr.steps.pairs.pairs_config import PairsConfig, PairSet
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings

if TYPE_CHECKING:
    from lidr.preferences import PairSource

_FIRST_ROWS = 100  # of a set, that are looked at for system messages


def run_pairs(run: StepRun) -> Outcome:
    """Read the sets one after the other, take what the recipe wants, account for every row."""
    from lidr.steps.pairs.mixture import OpenedSet, set_facts, share_out, take_rows, with_names

    config: PairsConfig = run.config
    sets = with_names([OpenedSet(one, open_set(run.around, one), "") for one in config.all_sets])
    for hub in config.datasets:
        run.around.keep_content(hub.repo, run.around.commit_of(hub))
    for one in sets:
        one.pair_weights = preferences.weights_of(one.source, mapped_of(run.around, one.config))
        for note in _to_say(run.around, one.config, one.source):
            run.progress.say(note)
    if any(one.weight or one.cap for one in config.all_sets):
        share_out(run, sets)
    run.progress.start(sum(one.source.rows for one in sets), "pairs")
    ledger, are_weighted = Ledger(run, preferences.REASONS), any(one.pair_weights is not None for one in sets)
    run.out.start_tables()
    for one in sets:
        take_rows(run, one, ledger, is_alone=len(sets) == 1, are_weighted=are_weighted)
    if not run.out.data.rows:
        reasons = (
            ", ".join(sorted({row["reason"] for row in ledger.counts()["dropped"] if row["count"]})) or "none wanted"
        )
        raise RowError(f"pairs: no row of {', '.join(one.name for one in sets)} can be used ({reasons})")
    facts = [
        {**set_facts(one, are_weighted=are_weighted), **_notes(run.around, one.config, one.source)} for one in sets
    ]
    return Outcome({**ledger.counts(), "sets": facts}, run.progress.rate())


def open_set(around: Surroundings, one: PairSet) -> PairSource:
    """Find a set at the commit of the lock.

    Raises:
        Unresolved: a Hub data set that is not locked.
        HubError: it is not there, or holds another content than was locked.
    """
    commit, digest = None, None
    if (hub := one.hub) is not None:
        commit = around.commit_of(hub)
        digest = around.digest_of(hub.repo, commit)
    return preferences.open_pairs(
        one.dataset or "",
        config=one.config,
        split=one.split,
        store=around.store_root,
        base=around.recipe_folder,
        commit=commit,
        digest=digest,
        licence=one.license,
    )


def check_pairs(around: Surroundings, config: PairsConfig) -> tuple[str, ...]:
    """Look at the sets that are on this machine, and at every weight of their pairs; no other column is read."""
    here = _sets_here(around, config)
    for one, source in here:
        preferences.check_weights_of(source, mapped_of(around, one))
    for hub in config.datasets:
        around.commit_of(hub)
    notes = [note for one, source in here for note in _to_say(around, one, source)]
    if here and is_trained(around) and (why := refused_system(around)) is not None:
        notes += [note for one, source in here for note in _system_note(around, one, source, why)]
    return tuple(notes)


def _system_note(around: Surroundings, one: PairSet, source: PairSource, why: str) -> Iterator[str]:
    """That pairs have a system message which the policy's chat template does not take, by the first rows of a set."""
    batch, _ = next(preferences.readings(source, _FIRST_ROWS, ["prompt"], mapped_of(around, one)), (None, None))
    prompts = [] if batch is None else batch["prompt"].to_pylist()
    if number := sum(any(message["role"] == "system" for message in prompt) for prompt in prompts):
        yield (
            f"{source.name}: {number} of its first {len(prompts)} pairs have a system message, which the policy's chat "
            f"template does not take ({why}): `train` drops pairs that it refuses, and does not see what it leaves "
            "out. Take the message out of the set (of a column: columns: {system: null}), or name another template in "
            "policy.chat_template.file"
        )


def _sets_here(around: Surroundings, config: PairsConfig) -> list[tuple[PairSet, PairSource]]:
    """The sets that are on this machine; that their maps name no column that is not there is seen on the way."""
    settings = [f"pairs.sets[{number}]" for number in range(len(config.sets))] or ["pairs"]
    here = []
    for one, setting in zip(config.all_sets, settings, strict=True):
        if one.hub is None:
            here.append((one, source := open_set(around, one)))
            _check_columns(one, source, setting)
    return here


def _check_columns(one: PairSet, source: PairSource, setting: str) -> None:
    """Refuse a map that names a column which is not there, at the setting that names it."""
    columns = one.columns
    there = () if columns is None else preferences.columns_there(source, columns)
    if columns is None or (missing := columns.missing(there)) is None:
        return
    role = f".{missing[0]}" if missing[0] in columns.model_fields_set else ""
    columns.check(there, f"{setting}.columns{role}: {source.name}")


def _switch_note(around: Surroundings, one: PairSet, source: PairSource) -> str | None:
    """Whether the prompts of a set were written by a chat template with other switches than training gives it: then
    its answers are those of another mode than the policy is trained and asked in.
    """
    policy = around.recipe.policy
    if not is_trained(around) or isinstance(parse_reference(policy.model), RunReference):
        return None  # a run's policy has its switches in its own template
    ours = template_kwargs(policy.chat_template)
    found = preferences.switches_of(source) if mapped_of(around, one).form is None else []
    if all(switches == ours for switches in found):
        return None
    made = " and ".join(preferences.switches_said(switches) or "none" for switches in found)
    return (
        f"{source.name} was made with other switches of the chat template ({made}) than this recipe trains "
        f"with ({preferences.switches_said(ours) or 'none'}): policy.chat_template.kwargs sets them"
    )


def _notes(around: Surroundings, one: PairSet, source: PairSource) -> dict[str, str]:
    """What the record notes of a set, where there is anything to note."""
    found = {"other_switches": _switch_note(around, one, source), "weights_left_out": unread_note(around, one, source)}
    return {name: note for name, note in found.items() if note is not None}


def _to_say(around: Surroundings, one: PairSet, source: PairSource) -> Iterator[str]:
    """What a person should know of a set; not what the recipe says itself."""
    notes = _notes(around, one, source)
    yield from (note for name, note in notes.items() if name != "weights_left_out" or not is_left_out(one))
    mapped = mapped_of(around, one)
    if (column := preferences.weights_of(source, mapped)) is not None:
        yield f"{source.name}: its column {column} says how much a pair counts in training"
    languages = around.recipe.languages.all
    if not one.languages and (others := sorted(preferences.languages_of(source, mapped) - {*languages})):
        yield (
            f"{source.name}: pairs in {', '.join(others)} are dropped, as the recipe has only {', '.join(languages)} "
            "(languages.others)"
        )
    if not preferences.says_language(source, mapped):
        yield (
            f"{source.name}: no column says the language of its pairs, so all count as {mapped.otherwise}; "
            "pairs.language or pairs.columns.language says another"
        )


def identity_pairs(config: PairsConfig) -> dict[str, Any]:
    """What is taken of which set; the sets count by content (see outside_pairs), and where they stand does not."""
    content = {"dataset", "revision"}
    return {"sets": [one.model_dump(mode="json", exclude=content) for one in config.all_sets], "seed": config.seed}


def outside_pairs(around: Surroundings, config: PairsConfig) -> dict[str, Any]:
    """The sets are identity by commit, by their run's digest, or by the content of their files; and, of sets on this
    machine, by the column of their pairs' weights, where they have any.

    Of sets on this machine the names of the columns are read, so that one that is not there is named before anything
    runs.
    """
    _sets_here(around, config)
    return {"sets": [_identity(around, one) for one in config.all_sets]}


def _identity(around: Surroundings, one: PairSet) -> dict[str, Any]:
    if (hub := one.hub) is not None:
        return {"dataset": hub.repo, "commit": around.commit_of(hub)}
    source = open_set(around, one)
    weights = preferences.weights_of(source, mapped_of(around, one))  # earlier versions of lidr left them out
    return {"dataset": source.name, "digest": source.revision or source.digest} | (
        {"weights": weights} if weights else {}
    )


def expect_pairs(config: PairsConfig, scale: Scale) -> Expected:
    """As many as there are; under weights as many as keep the sets' parts, by the caps that are known."""
    return _at_most(config, [one.cap for one in config.all_sets])


def count_pairs(around: Surroundings, config: PairsConfig, scale: Scale) -> Expected:
    """As `expect_pairs`, by the rows of the sets that are on this machine."""
    bounds = [(one.cap, _rows_here(around, one)) for one in config.all_sets]
    return _at_most(config, [min((known for known in both if known is not None), default=None) for both in bounds])


def _rows_here(around: Surroundings, one: PairSet) -> int | None:
    """Rows of a set that is on this machine; None of one that is not, or cannot be read, which is said elsewhere."""
    if one.hub is not None:
        return None
    try:
        return open_set(around, one).rows
    except LidrError:
        return None


def _at_most(config: PairsConfig, caps: list[int | None]) -> Expected:
    """Pairs at most, by the most of each set; None where nobody knows it."""
    sets = config.all_sets
    if not any(one.weight for one in sets):
        if None in caps:
            return Expected(0, "pairs", note="all that the sets hold")
        return Expected(sum(cap or 0 for cap in caps), "pairs")
    weights = [one.weight or 1.0 for one in sets]
    bounds = [cap / weight for cap, weight in zip(caps, weights, strict=True) if cap is not None]
    most = sum(int(min(bounds) * weight + 1e-9) for weight in weights) if bounds else 0
    return Expected(most, "pairs", note="at most; rows are left out until the weights hold")


STEP = StepKind(
    name="pairs",
    config=PairsConfig,
    reads=(),
    writes=Pair,
    run=run_pairs,
    expects=expect_pairs,
    counted=count_pairs,
    uses=("languages", "seed", "iteration.number"),
    outside=outside_pairs,
    checks=check_pairs,
    identity=identity_pairs,
    version=2,  # 2: languages in any case, as names and as tags are read; what says none is refused
)

"""Who says what answers, translations and pairs are worth: a judge, gold answers, the policy itself. For `measure`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lidr import train
from lidr.engines import ChatRequest, Sampling
from lidr.errors import RowError
from lidr.evals import judge, mgsm
from lidr.languages import LANGUAGES
from lidr.rows import Pair
from lidr.steps.answering import Answering, request_seed
from lidr.steps.evaluate import judge_for
from lidr.steps.generate import conversation
from lidr.steps.measure.gold_answers import gold_file, read_gold
from lidr.steps.measure.measurements import Row, measurement
from lidr.steps.measure.prompt_sample import PromptSample
from lidr.steps.step_kind import Policy
from lidr.transforms import chrf

if TYPE_CHECKING:
    from lidr.evals.judge import Comparison, Grading, JudgeSettings


def rewarded(sample: PromptSample) -> Iterator[Row]:
    """What the judge and the gold answers say."""
    yield from _by_gold(sample)
    if sample.run.config.judge is not None:
        with judge_for(sample.run, sample.run.config.judge)() as settings:
            marks = _marks(sample, settings)
            yield from _marked(sample, marks)
            yield from _compared(sample, settings)


def _by_gold(sample: PromptSample) -> Iterator[Row]:
    """Whether the number of chosen is right and that of rejected is not.

    Raises:
        RowError: the gold answers are those of other prompts.
    """
    if sample.run.config.gold is None:
        return
    file = gold_file(sample.run.config.gold, sample.run.around)
    gold = read_gold(file, sample.run.recipe)
    if gold.keys().isdisjoint(sample.prompt_ids):  # else every gate would stand before no number, and say nothing
        raise RowError(
            f"measure.gold: {file} answers none of the {len(sample.prompt_ids):,} prompts that are looked at; its ids "
            f"are {', '.join(sorted(gold)[:3])}, the prompts' {', '.join(sample.prompt_ids[:3])}: "
            "write the prompts' ids"
        )
    for pair in sample.pairs.iter_rows(named=True):
        if (wanted := gold.get(pair["prompt_id"])) is not None:
            chosen, rejected = (
                mgsm.read_number(pair[f"{side}_text"], pair["language"]).number == wanted
                for side in ("chosen", "rejected")
            )
            yield _of_pair("reward_gold", pair, 0.5 + 0.5 * (chosen - rejected))


def _of_pair(test: str, pair: Row, value: float | None) -> Row:
    return measurement(test, pair["prompt_id"], value, pair["language"], pair["other_language"], pair["kind"])


def _marks(sample: PromptSample, settings: JudgeSettings) -> dict[tuple[str, ...], float | None]:
    """(prompt id, language) -> mark of the own answer; (prompt id, source, target) -> mark of the translation."""

    texts = {**sample.answers, **sample.translations}
    gradings: list[Grading] = [
        judge.Grading(
            "/".join(key),
            (
                {"role": "user", "content": sample.prompts[key[0], key[-1]]},
                {"role": "assistant", "content": text},
            ),
        )
        for key, text in texts.items()
    ]
    grades = judge.grade(gradings, settings)
    judge.check_errors(grades, settings)  # type: ignore[arg-type]  # a grade has an error, as a verdict has
    return {key: found.score for key, found in zip(texts, grades, strict=True)}


def _marked(sample: PromptSample, marks: dict[tuple[str, ...], float | None]) -> Iterator[Row]:
    for prompt_id, language in sample.answers:
        yield measurement("own_mark", prompt_id, marks[prompt_id, language], language)
    for prompt_id, source, target in sample.translations:
        translated, own = marks[prompt_id, source, target], marks.get((prompt_id, target))
        yield measurement("translated_mark", prompt_id, translated, target, source)
        if translated is not None and own is not None:
            ahead = translated - own if source == sample.dominant else own - translated
            yield measurement("mark_difference", prompt_id, ahead, target, source)


def _compared(sample: PromptSample, settings: JudgeSettings) -> Iterator[Row]:
    """The pairs as they were built, and every answer beside the translated one, whether it became a pair or not."""

    pairs = list(sample.pairs.iter_rows(named=True))
    built = [judge.Comparison(p["pair_id"], p["prompt_text"], p["rejected_text"], p["chosen_text"]) for p in pairs]
    rankings = list(_rankings(sample))
    verdicts = judge.judge([*built, *(comparison for _, comparison in rankings)], settings)
    judge.check_errors(verdicts, settings)
    said = [None if verdict.preference is None else verdict.preference - 1.0 for verdict in verdicts]
    for pair, value in zip(pairs, said[: len(pairs)], strict=True):
        yield _of_pair("reward_judge", pair, None if value is None else 0.5 + 0.5 * ((value > 0.5) - (value < 0.5)))
    for ((prompt_id, language, other), _), value in zip(rankings, said[len(pairs) :], strict=True):
        yield measurement("preferred", prompt_id, value, language, other)


def _rankings(sample: PromptSample) -> Iterator[tuple[tuple[str, str, str], Comparison]]:
    """((prompt id, language, other), comparison); output_2 is the answer that began in the dominant language."""
    for (prompt_id, source, target), translated in sample.translations.items():
        own = sample.answers.get((prompt_id, target))
        if own is not None:
            sides = (own, translated) if source == sample.dominant else (translated, own)
            key = f"{prompt_id}/{source}-{target}"
            yield (prompt_id, target, source), judge.Comparison(key, sample.prompts[prompt_id, target], *sides)


def round_trips(sample: PromptSample) -> Iterator[Row]:
    """How much of a dominant answer is left after the policy has translated it there and back."""
    from lidr.transforms import PREFILL, parse_translation, translation_messages

    config, recipe = sample.run.config.round_trip, sample.run.recipe
    if config is None:
        return
    name = LANGUAGES[sample.dominant].name
    there = {key: text for key, text in sample.translations.items() if key[1] == sample.dominant}
    requests = {
        key: ChatRequest(
            key="/".join(key),
            messages=conversation(recipe.system_prompt, translation_messages(text, name)[0]["content"]),
            sampling=Sampling(
                max_tokens=config.max_tokens,
                repetition_penalty=config.repetition_penalty,
                seed=request_seed(recipe.seed, "/".join(key)),
                stop=("</translated>",),
            ),
            prefill=PREFILL,
        )
        for key, text in there.items()
    }
    with Answering(sample.run) as answering:
        answers = answering.ask(list(requests.values()))
    for key, text in there.items():
        answer = answers[requests[key].key]
        back = parse_translation(answer.text, answer.finish_reason, text).text
        yield measurement(
            "round_trip_chrf", key[0], chrf(back, sample.answers[key[0], sample.dominant]), key[2], sample.dominant
        )


def logp_margins(sample: PromptSample) -> Iterator[Row]:
    """What the policy itself prefers, before training."""
    config, runtime, policy = sample.run.config.margin, sample.run.recipe.runtime, sample.run.recipe.policy
    if config is None or not sample.pairs.height:
        return
    pairs: dict[str, Row] = {pair["pair_id"]: pair for pair in sample.pairs.iter_rows(named=True)}
    found = train.margins(
        sample.run.inputs[Policy.name].model,
        sample.run.inputs[Pair.name].tables,
        log=sample.run.log,
        only=list(pairs),
        max_length=config.max_length,
        micro_batch=runtime.micro_batch,
        dtype=policy.dtype,
        threads=runtime.threads,
        double_bos=policy.double_bos,
        trust_remote_code=policy.trust_remote_code,
    )
    for pair_id, value in found:
        yield _of_pair("logp_margin", pairs[pair_id], value)

"""Who says what answers, translations and pairs are worth: a judge, gold answers, the policy itself. For `measure`."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from lidr import train
from lidr.engines import ChatRequest, Sampling
from lidr.errors import RowError
from lidr.evals import judge, mgsm
from lidr.languages import LANGUAGES
from lidr.rows import Pair, answer_key
from lidr.steps.answering import Answering, request_seed
from lidr.steps.evaluate import judge_for
from lidr.steps.generate import conversation
from lidr.steps.gold_answers import gold_file, read_gold
from lidr.steps.local_policy import training_text
from lidr.steps.measure.measurements import Row, measurement
from lidr.steps.measure.prompt_sample import AnswerId, PromptSample, SamplePart
from lidr.steps.measure.scorer_accuracy import scorer_accuracies
from lidr.steps.step_kind import Policy
from lidr.transforms import chrf

if TYPE_CHECKING:
    from lidr.evals.judge import Comparison, Grading, JudgeSettings


Marks = dict[AnswerId | tuple[str, str, str], float | None]
"""Mark of an answer, and of a translation by (prompt id, source, target)."""


def rewarded(sample: PromptSample) -> Iterator[Row]:
    """What the judge and the gold answers say: of answers and pairs, and of the scorers that valued the answers."""
    gold: Mapping[str, Decimal] | None = None
    marks: Marks | None = None
    if sample.run.config.gold is not None:
        gold = _gold(sample)
        yield from _by_gold(sample, gold)
    if sample.run.config.judge is not None:
        marks = yield from _by_judge(sample)
    if sample.has_scores:
        yield from _of_scorers(sample, gold, marks)


def _by_judge(sample: PromptSample) -> Generator[Row, None, Marks]:
    """What the judge says; it is asked everything at once. Returns its marks."""
    with judge_for(sample.run, sample.run.config.judge)() as settings:
        texts = sample.whole()
        marks = _marks(texts, settings, of_every=sample.has_scores)
        yield from _marked(sample, texts, marks)
        yield from _compared(sample, texts, settings)
    return marks


def _of_scorers(sample: PromptSample, gold: Mapping[str, Decimal] | None, marks: Marks | None) -> Iterator[Row]:
    """What the scorers' values are worth to the referees, part by part."""
    for part in sample.parts():
        said: dict[str, dict[AnswerId, float | None]] = {}
        if gold is not None:
            said["gold"] = {
                key: float(mgsm.read_number(text, key[1]).number == gold[key[0]])
                for key, text in part.every.items()
                if key[0] in gold
            }
        if marks is not None:
            said["judge"] = {key: marks[key] for key in part.every}
        yield from scorer_accuracies(part, said)


def _gold(sample: PromptSample) -> dict[str, Decimal]:
    """Prompt -> the number that is right.

    Raises:
        RowError: the gold answers are those of other prompts.
    """
    file = gold_file(sample.run.config.gold, sample.run.around)
    gold = read_gold(file, sample.run.recipe)
    if gold.keys().isdisjoint(sample.prompt_ids()):  # else every gate would stand before no number, and say nothing
        raise RowError(
            f"measure.gold: {file} answers none of the {sample.size:,} prompts that are looked at; its ids "
            f"are {', '.join(sorted(gold)[:3])}, the prompts' {', '.join(islice(sample.prompt_ids(), 3))}: "
            "write the prompts' ids"
        )
    return gold


def _by_gold(sample: PromptSample, gold: Mapping[str, Decimal]) -> Iterator[Row]:
    """Whether the number of chosen is right and that of rejected is not."""
    for pair in sample.pairs():
        if (wanted := gold.get(pair["prompt_id"])) is not None:
            chosen, rejected = (
                mgsm.read_number(pair[f"{side}_text"], pair["language"]).number == wanted
                for side in ("chosen", "rejected")
            )
            yield _of_pair("reward_gold", pair, 0.5 + 0.5 * (chosen - rejected))


def _of_pair(test: str, pair: Row, value: float | None) -> Row:
    return measurement(test, pair["prompt_id"], value, pair["language"], pair["other_language"], pair["kind"])


def _marks(sampled: SamplePart, settings: JudgeSettings, *, of_every: bool) -> Marks:
    """Marks of the answers that pairs are made from, or of every answer, and of all translations."""
    keys = sampled.every if of_every else [key for several in sampled.own.values() for key in several]
    asked: dict[AnswerId | tuple[str, str, str], tuple[str, str, str]]
    asked = {key: (answer_key(*key), sampled.prompts[key[:2]], sampled.every[key]) for key in keys}
    asked |= {key: ("/".join(key), sampled.prompts[key[0], key[2]], text) for key, text in sampled.translations.items()}
    gradings: list[Grading] = [
        judge.Grading(name, ({"role": "user", "content": prompt}, {"role": "assistant", "content": text}))
        for name, prompt, text in asked.values()
    ]
    grades = judge.grade(gradings, settings)
    judge.check_errors(grades, settings, asked="answers", again=judge.IN_A_RUN)
    return {key: found.score for key, found in zip(asked, grades, strict=True)}


def _own_mark(marks: Marks, keys: Sequence[AnswerId]) -> float | None:
    known = [mark for key in keys if (mark := marks[key]) is not None]
    return sum(known) / len(known) if known else None


def _marked(sample: PromptSample, sampled: SamplePart, marks: Marks) -> Iterator[Row]:
    for (prompt_id, language), keys in sampled.own.items():
        yield measurement("own_mark", prompt_id, _own_mark(marks, keys), language)
    for prompt_id, source, target in sampled.translations:
        translated, own = marks[prompt_id, source, target], _own_mark(marks, sampled.own.get((prompt_id, target), ()))
        yield measurement("translated_mark", prompt_id, translated, target, source)
        if translated is not None and own is not None:
            ahead = translated - own if source == sample.dominant else own - translated
            yield measurement("mark_difference", prompt_id, ahead, target, source)


def _compared(sample: PromptSample, sampled: SamplePart, settings: JudgeSettings) -> Iterator[Row]:
    """The pairs as they were built, and every answer beside the translated one, whether it became a pair or not."""

    pairs = list(sample.pairs())
    built = [judge.Comparison(p["pair_id"], p["prompt_text"], p["rejected_text"], p["chosen_text"]) for p in pairs]
    rankings = list(_rankings(sampled, sample.dominant))
    verdicts = judge.judge([*built, *(comparison for _, comparison in rankings)], settings)
    judge.check_errors(verdicts, settings, again=judge.IN_A_RUN)
    said = [None if verdict.preference is None else verdict.preference - 1.0 for verdict in verdicts]
    for pair, value in zip(pairs, said[: len(pairs)], strict=True):
        yield _of_pair("reward_judge", pair, None if value is None else 0.5 + 0.5 * ((value > 0.5) - (value < 0.5)))
    for ((prompt_id, language, other), _), value in zip(rankings, said[len(pairs) :], strict=True):
        yield measurement("preferred", prompt_id, value, language, other)


def _rankings(sampled: SamplePart, dominant: str) -> Iterator[tuple[tuple[str, str, str], Comparison]]:
    """((prompt id, language, other), comparison); output_2 is the answer that began in the dominant language."""
    for (prompt_id, source, target), translated in sampled.translations.items():
        own = sampled.answer(prompt_id, target)
        if own is not None:
            sides = (own, translated) if source == dominant else (translated, own)
            key = f"{prompt_id}/{source}-{target}"
            yield (prompt_id, target, source), judge.Comparison(key, sampled.prompts[prompt_id, target], *sides)


def round_trips(sample: PromptSample) -> Iterator[Row]:
    """How much of a dominant answer is left after the policy has translated it there and back."""
    from lidr.transforms import parse_translation

    if sample.run.config.round_trip is None:
        return
    with Answering(sample.run) as answering:
        answering.ask(_back_request(sample, key, text) for key, text, _ in _there(sample))
        for key, text, own in _there(sample):
            answer = answering.answer("/".join(key))
            back = parse_translation(answer.text, answer.finish_reason, text).text
            yield measurement("round_trip_chrf", key[0], chrf(back, own), key[2], sample.dominant)


def _there(sample: PromptSample) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Key and text of each translation of a dominant answer, and that answer."""
    for part in sample.parts():
        for key, text in part.translations.items():
            if key[1] == sample.dominant:
                yield key, text, part.answer(key[0], sample.dominant) or ""


def _back_request(sample: PromptSample, key: tuple[str, ...], text: str) -> ChatRequest:
    from lidr.transforms import PREFILL, translation_messages

    config, recipe = sample.run.config.round_trip, sample.run.recipe
    name = LANGUAGES[sample.dominant].name
    return ChatRequest(
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


def logp_margins(sample: PromptSample) -> Iterator[Row]:
    """What the policy itself prefers, before training."""
    config, runtime, policy = sample.run.config.margin, sample.run.recipe.runtime, sample.run.recipe.policy
    if config is None or next(sample.pairs(), None) is None:
        return
    pairs = sample.pairs()
    found = train.margins(
        sample.run.inputs[Policy.name].model,
        sample.run.inputs[Pair.name].tables,
        log=sample.run.log,
        only=None if sample.is_all else [pair["pair_id"] for pair in sample.pairs()],
        max_length=config.max_length,
        micro_batch=runtime.micro_batch,
        dtype=policy.dtype,
        threads=runtime.threads,
        double_bos=policy.double_bos,
        form=training_text(sample.run),
        trust_remote_code=policy.trust_remote_code,
    )
    for pair_id, value in found:  # in the order of the pairs, without those that were left out
        yield _of_pair("logp_margin", next(pair for pair in pairs if pair["pair_id"] == pair_id), value)

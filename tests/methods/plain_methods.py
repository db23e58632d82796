"""How each method picks its pairs, written plainly and apart from lidr: the reference for the columnar step.

Written from the papers' abstracts and from what the authors' published scripts do (`recipes/data/methods.json` names
them by commit). Everything is dictionaries. An answer:

    {"prompt_id": "p1", "language": "es", "sample": 0, "text": "...", "scores": {"implicit": -3.5, ...},
     "answer": "42", "middle": [...], "last": [...], "embedding": [...]}

`scores`, `answer` (its final answer; None where none was read) and the vectors are needed only by the methods that read
them. Each method takes the answers and the slots, (prompt_id, language), and gives every slot a pair or a reason:

    no_response                no answer in this slot
    empty_response             every answer is empty
    one_answer                 fewer than two answers with text
    no_score                   fewer than two of them have a score
    equal_scores               no answer scores below the best one
    identical                  chosen and rejected are the same text
    pair_in_another_language   one pool for all languages: this prompt's pair has its prompt in another one
    reference_language         the other languages are measured against this one, which has no pairs of its own
    no_reference               no answer with text, or by final answers none that was read, in the reference language
    no_vote, tied_vote         no final answer was read; two have the most votes
    unanimous                  every final answer of this slot is the majority's
    no_consistent_answer       none of this slot is the majority's

Among equals the first in order counts: languages in the order of the slots, then samples.

Where the sources are silent and lidr's step decides otherwise than this version, its choice is an option here
(`trimmed`, `grid`, `account`, `draw`, `unread`, `scores`); docs/methods.md lists them.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from typing import Any, NamedTuple

Answer = dict[str, Any]
Slot = tuple[str, str]
Side = tuple[str, int]  # (language, sample)


class Pair(NamedTuple):
    """`language` is the prompt's, `margin` is score_chosen - score_rejected."""

    prompt_id: str
    language: str
    chosen: Side
    rejected: Side
    score_chosen: float
    score_rejected: float
    margin: float


class Selection(NamedTuple):
    """`found` is what the method had to find on the way: scores by (prompt, language, sample), the length penalty..."""

    pairs: list[Pair]
    reasons: dict[Slot, str]
    found: dict[str, Any]


# What all of them do


def answers_of(answers: list[Answer], prompt_id: str, language: str) -> list[Answer]:
    mine = [a for a in answers if a["prompt_id"] == prompt_id and a["language"] == language]
    return sorted(mine, key=lambda a: a["sample"])


def with_text(answers: list[Answer]) -> list[Answer]:
    return [a for a in answers if a["text"].strip()]


def fault(answers: list[Answer], scored: list[Any]) -> str | None:
    """Why these answers of one slot, of which `scored` have text and score, can make no pair."""
    if not answers:
        return "no_response"
    texts = with_text(answers)
    if not texts:
        return "empty_response"
    if len(texts) < 2:
        return "one_answer"
    return "no_score" if len(scored) < 2 else None


def pair_of(chosen: Answer, rejected: Answer, score_chosen: float, score_rejected: float, language: str) -> Pair:
    sides = (chosen["language"], chosen["sample"]), (rejected["language"], rejected["sample"])
    return Pair(chosen["prompt_id"], language, *sides, score_chosen, score_rejected, score_chosen - score_rejected)


def key_of(answer: Answer) -> tuple[str, str, int]:
    return answer["prompt_id"], answer["language"], answer["sample"]


def same_text(one: Answer, other: Answer) -> bool:
    return one["text"].strip() == other["text"].strip()


def scored_by(answers: list[Answer], scorer: str) -> list[tuple[Answer, float]]:
    """(answer, score) of the answers that have text and a score."""
    return [(a, a["scores"][scorer]) for a in with_text(answers) if a["scores"].get(scorer) is not None]


def best_and_worst(scored: list[tuple[Answer, float]]) -> tuple[tuple[Answer, float], tuple[Answer, float]]:
    return max(scored, key=lambda s: s[1]), min(scored, key=lambda s: s[1])  # the first among equals


def best_against_worst(scored: list[tuple[Answer, float]], language: str) -> Pair | str:
    (chosen, high), (rejected, low) = best_and_worst(scored)
    if high == low:
        return "equal_scores"
    return "identical" if same_text(chosen, rejected) else pair_of(chosen, rejected, high, low, language)


def languages_of(slots: list[Slot]) -> list[str]:
    return list(dict.fromkeys(language for _, language in slots))


def add(selection: Selection, slot: Slot, result: Pair | str) -> None:
    if isinstance(result, str):
        selection.reasons[slot] = result
    else:
        selection.pairs.append(result)


# ICR


def length_controlled(scored: list[tuple[Answer, float]], penalty: float) -> list[tuple[Answer, float]]:
    """The score less the penalty for each character of the text."""
    return [(a, score - penalty * len(a["text"])) for a, score in scored]


def length_penalty(pools: list[list[tuple[Answer, float]]], steps: int = 1000, grid: str = "multiples") -> float:
    """The penalty of 0, .001, ... .999 at which chosen and rejected are, on the mean of all prompts, equally long.

    The smallest of those that come equally near. `pools` are the scored answers of one language, a list a prompt.

    Args:
        grid: `multiples` of 0.001, or `decimal`: the floats nearest to .001, .002, ...; some differ in the last digit.
    """
    penalties = [step * 0.001 if grid == "multiples" else step / steps for step in range(steps)]

    def distance(penalty: float) -> float:
        total = 0
        for pool in pools:
            (chosen, _), (rejected, _) = best_and_worst(length_controlled(pool, penalty))
            total += len(chosen["text"]) - len(rejected["text"])
        return abs(total / len(pools))

    return min(penalties, key=distance) if pools else 0.0


def icr(
    answers: list[Answer],
    slots: list[Slot],
    scorer: str = "implicit",
    length_control: bool = True,
    *,
    trimmed: bool = False,
    grid: str = "multiples",
) -> Selection:
    """Implicit cross-lingual rewarding: the best against the worst of one language, after length control.

    Args:
        trimmed: whether characters are those of the text without the white space around it.
        grid: see `length_penalty`.
    """
    selection = Selection([], {}, {"penalty": {}})
    if trimmed:
        answers = [a | {"text": a["text"].strip()} for a in answers]
    for language in languages_of(slots):
        pools: dict[Slot, list[tuple[Answer, float]]] = {}
        for slot in (s for s in slots if s[1] == language):
            own = answers_of(answers, *slot)
            scored = scored_by(own, scorer)
            reason = fault(own, scored)
            if reason:
                selection.reasons[slot] = reason
            else:
                pools[slot] = scored
        penalty = length_penalty(list(pools.values()), grid=grid) if length_control else 0.0
        selection.found["penalty"][language] = penalty
        for slot, pool in pools.items():
            add(selection, slot, best_against_worst(length_controlled(pool, penalty), language))
    return selection


# CroCo


def percentile_25(values: list[float]) -> float:
    """The 25th percentile, linear between the two values beside it."""
    ordered = sorted(values)
    place = 0.25 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mean_minus_2sigma(values: list[float]) -> float:
    """The mean less two standard deviations of the pool itself (divided by n, not by n - 1)."""
    mean = math.fsum(values) / len(values)
    return mean - 2 * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


TARGETS = {"mean_minus_2sigma": mean_minus_2sigma, "q1": percentile_25, "min": min}


def best_against_target(scored: list[tuple[Answer, float]], target: str) -> tuple[Any, Any] | str:
    """((chosen, score), (rejected, score)): the best, and of those strictly below it the one nearest to the target."""
    best = max(scored, key=lambda s: s[1])
    wanted = TARGETS[target]([score for _, score in scored])
    below = [s for s in scored if s[1] < best[1]]
    if not below:
        return "equal_scores"
    rejected = min(below, key=lambda s: abs(s[1] - wanted))
    return "identical" if same_text(best[0], rejected[0]) else (best, rejected)


def croco(
    answers: list[Answer],
    slots: list[Slot],
    *,
    scorer: str = "reward_model",
    pool: str = "language",
    target: str = "mean_minus_2sigma",
    prompt_of: str = "chosen",
    account: str = "each",
) -> Selection:
    """Cross-lingual contrastive tuning: a rejected answer at a set distance below the best one.

    Args:
        pool: `language`, or `all`: one pair a prompt from the answers in all languages.
        target: which score the rejected answer should have, one of `TARGETS`.
        prompt_of: `chosen` or `rejected`: whose language the prompt is in, if the pool is `all`.
        account: where such a prompt has no pair, `each` of its slots has the reason, or the `first` one.
    """
    selection = Selection([], {}, {})
    for group in [[slot] for slot in slots] if pool == "language" else by_prompt(slots):
        own = [a for slot in group for a in answers_of(answers, *slot)]
        scored = scored_by(own, scorer)
        result = fault(own, scored) or best_against_target(scored, target)
        if isinstance(result, str):
            selection.reasons.update(dict.fromkeys(group, result))
            if account == "first":
                selection.reasons.update(dict.fromkeys(group[1:], "pair_in_another_language"))
            continue
        (chosen, high), (rejected, low) = result
        language = (chosen if prompt_of == "chosen" else rejected)["language"]
        selection.pairs.append(pair_of(chosen, rejected, high, low, language))
        others = [slot for slot in group if slot[1] != language]
        selection.reasons.update(dict.fromkeys(others, "pair_in_another_language"))
    return selection


def by_prompt(slots: list[Slot]) -> list[list[Slot]]:
    prompts = dict.fromkeys(prompt_id for prompt_id, _ in slots)
    return [[slot for slot in slots if slot[0] == prompt_id] for prompt_id in prompts]


# LaCoMSA


def cosine(one: list[float], other: list[float]) -> float:
    length = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(y * y for y in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / length


def centroid(vectors: list[list[float]]) -> list[float]:
    return [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def language_weight(gap: float, alpha: float = 0.5, gamma: float = 1.0) -> float:
    return (1 / (1 + math.exp(-alpha * gap))) ** gamma


class Latent(NamedTuple):
    """`reward` alone is MSA's; `weight` holds the language; `score` = weight * reward."""

    reward: float
    gap: float
    weight: float
    score: float


def latent_scores(own: list[Answer], english: list[Answer], alpha: float = 0.5, gamma: float = 1.0) -> list[Latent]:
    """Scores of the answers of one slot, all with text, by their hidden states.

    The reward is the mean cosine in the middle layer with each English answer to the same prompt. The gap is, in the
    last layer, the cosine with the mean of the slot's own answers (this one among them) less the cosine with the mean
    of the English ones, less the reward.
    """
    own_mean, english_mean = centroid([a["last"] for a in own]), centroid([e["last"] for e in english])
    scores = []
    for a in own:
        reward = math.fsum(cosine(a["middle"], e["middle"]) for e in english) / len(english)
        gap = cosine(a["last"], own_mean) - cosine(a["last"], english_mean) - reward
        weight = language_weight(gap, alpha, gamma)
        scores.append(Latent(reward, gap, weight, weight * reward))
    return scores


def latent_candidates(scored: list[tuple[Answer, Latent]], order: str = "weighted") -> list[tuple[Any, Any]]:
    """Each two answers of different text and score, the better first.

    Args:
        order: `weighted`: the better one is that with the greater score. `published`: that with the greater reward, as
            in the authors' script, which uses the weight in nothing but the difference that it stores.
    """
    ordered = sorted(scored, key=lambda s: -(s[1].score if order == "weighted" else s[1].reward))
    return [
        (one, other)
        for place, one in enumerate(ordered)
        for other in ordered[place + 1 :]
        if one[1].score != other[1].score and not same_text(one[0], other[0])
    ]


def drawn(seed: int, prompt_id: str, language: str, count: int) -> int:
    """Which of `count`: a hash, so that no prompt's draw depends on another's."""
    return zlib.crc32(f"{seed}/{prompt_id}/{language}".encode()) % count


def drawn_by_sha256(seed: int, prompt_id: str, language: str, count: int) -> int:
    """The same by the first eight bytes of another hash."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt_id}/{language}".encode()).digest()[:8], "big") % count


def lacomsa(
    answers: list[Answer],
    slots: list[Slot],
    *,
    order: str = "weighted",
    seed: int = 42,
    reference: str = "en",
    draw: str = "crc32",
) -> Selection:
    """Latent rewards with language consistency: one pair a slot, drawn among all two answers that differ.

    Args:
        order: see `latent_candidates`.
        draw: `crc32` from the candidates by their scores, or `sha256` from the same by their samples.
    """
    selection = Selection([], {}, {"scores": {}, "candidates": {}})
    for slot in slots:
        own, english = answers_of(answers, *slot), with_text(answers_of(answers, slot[0], reference))
        reason = fault_beside_reference(slot[1], own, english, reference)
        if reason:
            selection.reasons[slot] = reason
            continue
        texts = with_text(own)
        scored = list(zip(texts, latent_scores(texts, english), strict=True))
        selection.found["scores"].update({key_of(a): latent for a, latent in scored})
        candidates = latent_candidates(scored, order)
        selection.found["candidates"][slot] = [(one["sample"], other["sample"]) for (one, _), (other, _) in candidates]
        if candidates:
            if draw == "sha256":
                candidates.sort(key=lambda two: sorted((two[0][0]["sample"], two[1][0]["sample"])))
            pick = {"crc32": drawn, "sha256": drawn_by_sha256}[draw]
            (chosen, high), (rejected, low) = candidates[pick(seed, *slot, len(candidates))]
            selection.pairs.append(pair_of(chosen, rejected, high.score, low.score, slot[1]))
        else:
            differ = any(latent.score != scored[0][1].score for _, latent in scored)
            selection.reasons[slot] = "identical" if differ else "equal_scores"
    return selection


def fault_beside_reference(language: str, own: list[Answer], english: list[Answer], reference: str) -> str | None:
    if language == reference:
        return "reference_language"
    return fault(own, with_text(own)) or (None if english else "no_reference")


# CM-Align


def by_embedding(one: Answer, other: Answer) -> float:
    return cosine(one["embedding"], other["embedding"])


def by_final_answer(one: Answer, other: Answer) -> float:
    return float(one["answer"] is not None and one["answer"] == other["answer"])


def most_consistent(answers: list[Answer], similarity: Any) -> Answer | None:
    """The one most similar, on the mean, to the others; the only one, if there is one.

    An answer without a final answer is, by final answers, not even like itself, and no reference.
    """

    def mean_to_others(a: Answer) -> float:
        others = [o for o in answers if o is not a]
        return math.fsum(similarity(a, o) for o in others) / len(others) if others else 0.0

    return max((a for a in answers if similarity(a, a)), key=mean_to_others, default=None)


def cm_align(
    answers: list[Answer],
    slots: list[Slot],
    similarity: Any = by_embedding,
    reference: str = "en",
    *,
    unread: str = "least",
) -> Selection:
    """Consistency with the most self-consistent English answer: the most consistent against the least.

    Args:
        unread: an answer without a final answer is among the `least` consistent, or `none`: it has no score.
    """
    selection = Selection([], {}, {"scores": {}, "reference": {}})
    for slot in slots:
        own, english = answers_of(answers, *slot), with_text(answers_of(answers, slot[0], reference))
        best = most_consistent(english, similarity)
        selection.found["reference"][slot[0]] = best and best["sample"]
        reason = fault_beside_reference(slot[1], own, [best] if best else [], reference)
        scored = (
            [(a, similarity(a, best)) for a in with_text(own) if unread == "least" or a["answer"] is not None]
            if best
            else []
        )
        if slot[1] != reference:
            selection.found["scores"].update({key_of(a): score for a, score in scored})
        reason = reason or ("no_score" if len(scored) < 2 else None)
        add(selection, slot, reason or best_against_worst(scored, slot[1]))
    return selection


# CALM


def calm(
    answers: list[Answer],
    slots: list[Slot],
    *,
    ties: str = "none",
    chosen_from: str = "language",
    rejected: str = "least",
    scores: str = "share",
) -> Selection:
    """The majority's final answer over languages and samples is chosen, the others are rejected.

    A score is the share of all votes that an answer's final answer has, or, if `scores` is `agrees`, 1 for the
    majority's and 0 for any other; nothing where there is no majority. Answers without a final answer neither vote nor
    are rejected.

    Args:
        ties: `none`: no pair where two final answers have the most votes. `first`: that which comes first, as in the
            authors' script.
        chosen_from: `language`: the first consistent answer of the slot. `all`: the last consistent one of all
            languages, as in the authors' script, which then has it translated into the slot's language.
        rejected: of the slot's inconsistent answers, `least`: that whose final answer has the fewest votes. `first`:
            the first. `each`: all of them, a pair each, as in the authors' script.
    """
    selection = Selection([], {}, {"scores": {}, "majority": {}})
    for group in by_prompt(slots):
        voters = [a for slot in group for a in with_text(answers_of(answers, *slot)) if a["answer"] is not None]
        votes = Counter(a["answer"] for a in voters)  # keeps the order in which they came
        leaders = [answer for answer, count in votes.items() if count == max(votes.values())]
        majority = leaders[0] if len(leaders) == 1 or (leaders and ties == "first") else None
        selection.found["majority"][group[0][0]] = majority
        shares = {answer: count / len(voters) for answer, count in votes.items()}
        if scores == "agrees":
            shares = {answer: float(answer == majority) for answer in votes if majority is not None}
        selection.found["scores"].update({key_of(a): shares[a["answer"]] for a in voters if shares})
        for slot in group:
            own = answers_of(answers, *slot)
            for result in calm_pairs(slot, own, voters, shares, majority, chosen_from, rejected):
                add(selection, slot, result)
    return selection


def calm_pairs(slot, own, voters, shares, majority, chosen_from, rejected) -> list[Pair | str]:
    """The pairs of one slot, or one reason."""
    reason = fault(own, with_text(own))
    if reason and not (reason == "one_answer" and chosen_from == "all"):  # there the other one is of another language
        return [reason]
    mine = [a for a in voters if a["language"] == slot[1]]
    if not mine or majority is None:
        return ["tied_vote" if mine else "no_vote"]
    right = [a for a in mine if a["answer"] == majority]
    if chosen_from == "all":
        right = [a for a in voters if a["answer"] == majority][::-1]
    wrong = [a for a in mine if a["answer"] != majority]
    if not wrong:
        return ["unanimous"]
    if not right:
        return ["no_consistent_answer"]
    least = min(wrong, key=lambda a: shares[a["answer"]])
    losers = {"each": wrong, "first": wrong[:1], "least": [least]}[rejected]
    pairs = [
        pair_of(right[0], a, shares[majority], shares[a["answer"]], slot[1])
        for a in losers
        if not same_text(right[0], a)
    ]
    return [*pairs] or ["identical"]

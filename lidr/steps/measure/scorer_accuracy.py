"""How often a scorer values the better of two answers more, by gold answers or a judge. For `measure`.

Of the answers to a prompt in a language, each two of which the referee says that one is better count: 1 where the
scorer values that one more, 0.5 where it values both alike, 0 where it values the other one more. The value of a prompt
is their mean; .5 is chance, and a prompt whose answers are all as good as each other says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from lidr.steps.measure.measurements import Row, measurement
from lidr.steps.measure.prompt_sample import AnswerId, SamplePart
from lidr.steps.score import REFEREES

Worth = Mapping[AnswerId, float | None]
"""What answers are worth to a scorer or a referee; None or missing where it cannot say."""


def scorer_accuracies(part: SamplePart, said: Mapping[str, Worth]) -> Iterator[Row]:
    """One value for each prompt, language, scorer and referee.

    Args:
        part: with scores; without there is nothing to say.
        said: what the referees of this step say, by their names. Of one that is missing, what the scorer of its name
            says counts; a scorer is never held against itself.
    """
    answers: dict[tuple[str, str], list[AnswerId]] = {}
    for key in part.every:
        answers.setdefault(key[:2], []).append(key)
    for referee in REFEREES:
        worth = said.get(referee, part.scores.get(referee))
        for scorer in part.scores if worth is not None else ():
            if scorer != referee:
                for (prompt_id, language), keys in answers.items():
                    value = ranked_rightly(keys, part.scores[scorer], worth or {})
                    yield measurement(f"scorer_{referee}", prompt_id, value, language, kind=scorer)


def ranked_rightly(keys: Sequence[AnswerId], scorer: Worth, referee: Worth) -> float | None:
    """Of each two answers that the referee tells apart, the share that the scorer ranks as it does; None without any.

    >>> a, b, c = (("p", "es", number) for number in range(3))
    >>> ranked_rightly([a, b, c], {a: 0.9, b: 0.9, c: 0.1}, {a: 1.0, b: 0.0, c: 0.0})     # a ties with b, beats c
    0.75
    """
    hits: list[float] = []
    for one, other in combinations(keys, 2):
        gap, guess = _gap(referee, one, other), _gap(scorer, one, other)
        if gap and guess is not None:
            hits.append(0.5 if not guess else float((guess > 0) == (gap > 0)))
    return sum(hits) / len(hits) if hits else None


def _gap(worth: Worth, one: AnswerId, other: AnswerId) -> float | None:
    a, b = worth.get(one), worth.get(other)
    return None if a is None or b is None else a - b

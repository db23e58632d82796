"""gold: 1 where an answer states the number that is right, 0 where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lidr.errors import RowError
from lidr.evals import mgsm
from lidr.recipe import Frozen
from lidr.steps.gold_answers import gold_file, read_gold
from lidr.steps.score.scorer import Answer, Scored, Scorer, World
from lidr.steps.step_kind import Surroundings
from lidr.store import file_sha256


class GoldScorer(Frozen):
    """Right or wrong, by gold answers that are numbers."""

    answers: str
    """Folder with LANG.jsonl of lines {id, response}, as `measure.gold` has it."""


def score_gold(world: World, config: GoldScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Compare each answer's number with its prompt's.

    Raises:
        RowError: the gold answers are those of other prompts.
    """
    file = gold_file(config.answers, world.run.around, where="score.gold.answers")
    gold = read_gold(file, world.run.recipe)
    if gold.keys().isdisjoint(world.of_prompt):
        raise RowError(
            f"score.gold.answers: {file} answers none of the prompts; its ids are {', '.join(sorted(gold)[:3])}, the "
            f"prompts' {', '.join(list(world.of_prompt)[:3])}: write the prompts' ids"
        )
    for answer in asked:
        wanted = gold.get(answer.prompt_id)
        if wanted is None:
            yield Scored(answer, None, "no_gold_answer")
        else:
            yield Scored(answer, float(mgsm.read_number(answer.text, answer.language).number == wanted))


def outside_gold(around: Surroundings, config: GoldScorer) -> dict[str, Any]:
    """The content of the dominant language's file."""
    return {"answers": file_sha256(gold_file(config.answers, around, where="score.gold.answers"))}


GOLD = Scorer("gold", GoldScorer, score_gold, outside=outside_gold, identity=lambda config: {})

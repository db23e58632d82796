"""The conversations of MT-Bench: asked turn by turn, every answer kept at once, read back from a results folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lidr.engines import ChatRequest, Completion, Engine, Message, Sampling
from lidr.errors import EvaluationError
from lidr.evals.mt_bench.questions import TURNS, Question, Questions
from lidr.evals.spec import Decoding
from lidr.rows import UNANSWERED
from lidr.store import Journal

if TYPE_CHECKING:
    from lidr.evals.judge import Grade


@dataclass
class Conversation:
    """What was said on one question, and how it was graded.

    Args:
        answers: to the first turns; fewer than two where the engine did not answer, and `error` says why.
        grades: of each answer; None where nobody was asked.
    """

    language: str
    question: Question
    answers: tuple[str, ...] = ()
    error: str | None = None
    grades: tuple[Grade | None, ...] = (None,) * TURNS

    def key(self, turn: int) -> str:
        """Names one answer among all; turns count from 0 here, from 1 in the key."""
        return f"{self.language}/{self.question.item}/{turn + 1}"

    def messages(self, turn: int, system_prompt: str | None) -> tuple[Message, ...]:
        """Everything that is said before the answer to this turn."""
        found: list[Message] = [{"role": "system", "content": system_prompt}] if system_prompt else []
        for before in range(turn):
            found.append({"role": "user", "content": self.question.turns[before]})
            found.append({"role": "assistant", "content": self.answers[before]})
        return (*found, {"role": "user", "content": self.question.turns[turn]})

    def detail(self) -> dict[str, Any]:
        """As stored in a sample: all that `talks_of` needs."""
        turns = []
        for turn, prompt in enumerate(self.question.turns):
            grade = self.grades[turn]
            turns.append(
                {
                    "prompt": prompt,
                    "reference": self.question.reference[turn],
                    "response": self.answers[turn] if turn < len(self.answers) else None,
                    "grade": grade.as_json() if grade else None,
                }
            )
        return {"category": self.question.category, "turns": turns, "error": self.error}


def ask(
    engine: Engine,
    questions: Mapping[str, Questions],
    kept: Journal,
    *,
    decoding: Decoding,
    seed: int = 42,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
    on_kept: Callable[[int], None] = lambda count: None,
) -> list[Conversation]:
    """Ask the first turn of all questions, then the second.

    Args:
        engine: that answers.
        questions: language -> questions.
        kept: receives each answer; what it holds is not asked again.
        decoding: of the answers.
        seed: of the engine.
        limit: only the first questions of each language.
        progress: told how many more answers there are.
        on_kept: told how many there are already, before the first new one.

    Raises:
        EvaluationError: the engine answered nothing at all.
        EngineError: the engine cannot be asked; what it answered is kept.
    """
    talks = [Conversation(language, row) for language, found in questions.items() for row in found.rows[:limit]]
    sampling = Sampling(decoding.max_tokens, repetition_penalty=decoding.repetition_penalty, seed=seed)
    if known := sum(talk.key(turn) in kept.rows for talk in talks for turn in range(TURNS)):
        on_kept(known)
    for turn in range(TURNS):
        _ask_turn(engine, talks, turn, kept, decoding.system_prompt, sampling, progress)
    if talks and all(talk.error for talk in talks):
        raise EvaluationError(f"none of {len(talks)} questions was answered, the first because: {talks[0].error}")
    return talks


def _ask_turn(
    engine: Engine,
    talks: Sequence[Conversation],
    turn: int,
    kept: Journal,
    system_prompt: str | None,
    sampling: Sampling,
    told: Callable[[int], None],
) -> None:
    """Ask one turn of all conversations that still go on."""
    asked: dict[str, Conversation] = {}
    for talk in talks:
        if (row := kept.rows.get(talk.key(turn))) is not None:
            talk.answers += (row["text"],)
        elif talk.error is None:
            asked[talk.key(turn)] = talk
    for result in engine.generate(
        [ChatRequest(key, talk.messages(turn, system_prompt), sampling) for key, talk in asked.items()]
    ):
        if isinstance(result, Completion) and result.finish_reason not in UNANSWERED:
            kept.add(result.key, {"text": result.text})
            asked[result.key].answers += (result.text,)
        else:
            reason = result.said or "the prompt is too long" if isinstance(result, Completion) else result.error
            asked[result.key].error = f"turn {turn + 1}: {reason}"
        told(1)


def talks_of(samples: Iterable[Mapping[str, Any]]) -> list[Conversation]:
    """The conversations that the rows of `samples.parquet` hold, with their grades.

    Raises:
        EvaluationError: a row holds none.
    """
    return [_talk(row) for row in samples]


def _talk(row: Mapping[str, Any]) -> Conversation:
    from lidr.evals.judge import Grade

    try:
        detail = json.loads(row["detail"])
        first, second = detail["turns"]
        turns = (first["prompt"], second["prompt"])
        question = Question(row["item"], detail["category"], turns, (first["reference"], second["reference"]))
        answers = tuple(turn["response"] for turn in (first, second) if turn["response"] is not None)
        grades = tuple(Grade(**turn["grade"]) if turn["grade"] else None for turn in (first, second))
        return Conversation(row["language"], question, answers, detail["error"], grades)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvaluationError(
            f"samples.parquet: item {row['item']} of {row['task']} holds no conversation of two turns "
            f"({type(error).__name__}: {error}); remove the folder and evaluate again"
        ) from None

"""The rows that `score` writes: one value for each answer and scorer."""

from __future__ import annotations

from lidr.rows import SAMPLE, RowType

AnswerScores = RowType(
    "answer_scores",
    {
        "prompt_id": "string",
        "language": "string",
        SAMPLE: "int32",  # null where the prompt has one answer
        "scorer": "string",
        "value": "float64",  # null: not scored
        "detail": "string",  # why not, or what the value rests on; never a text of the answer
    },
    key=("prompt_id", "language", SAMPLE, "scorer"),
)
"""What answers are worth."""

REFEREES = ("gold", "judge")
"""Who says which of two texts is better, for `measure`: gold answers, where a recipe has them, else a judge."""

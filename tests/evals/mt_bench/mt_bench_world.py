"""Questions of MT-Bench, and what a scripted model says to them."""

from __future__ import annotations

import json
from pathlib import Path

from lidr.engines.engine import ChatRequest, Failure

TURNS = {
    "de": ["Schreibe einen kurzen Absatz über Honigbienen.", "Sage nun dasselbe in einem einzigen Satz."],
    "fr": ["Écris un court paragraphe sur les abeilles.", "Dis maintenant la même chose en une seule phrase."],
}
SAID = {
    "de": "Honigbienen leben in großen Völkern und legen Vorräte für den Winter an.",
    "fr": "Les abeilles vivent en grandes colonies et font des provisions pour l'hiver.",
}


def write_questions(folder: Path) -> Path:
    """Twelve questions in two languages; the first has reference answers."""
    for language, turns in TURNS.items():
        rows = [
            {"question_id": 81 + i, "category": "writing", "turns": [f"{turns[0]} ({i})", turns[1]]} for i in range(12)
        ]
        rows[0]["reference"] = ["Richtig ist: 42", "Richtig ist: 43"]
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{language}.jsonl").write_text(text, encoding="utf-8")
    return folder


def answering(request: ChatRequest) -> str | Failure:
    """Says how many turns it saw; question 2 fails, in its second turn."""
    language = request.key[:2]
    turn = sum(message["role"] == "user" for message in request.messages)
    if turn == 2 and "(2)" in request.messages[-3]["content"]:
        return Failure(request.key, "the server is on fire")
    return f"{SAID[language]} ({turn})"

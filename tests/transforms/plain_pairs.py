"""The pair algebra for one prompt, written plainly and apart from lidr: the reference for the columnar one.

Everything is dictionaries: texts by language, answers by language, translations by (source, target).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    text: str
    finish: str = "stop"


@dataclass(frozen=True)
class Moved:
    text: str
    status: str = "ok"


def slots_of_one_prompt(
    prompt_id,
    texts,
    answers,
    moved,
    *,
    d,
    others,
    dominant_pairs="all",
    drop="joint",
    is_bound=False,
    translation_type="keep_source",
    accept=("ok",),
    truncated="keep",
    seed=0,
    one="hash",
):
    """Return {(xx, kind): ("pair", prompt, chosen, rejected) | ("dropped", reason) | ("not requested", setting)}."""

    def answer_fault(language):
        answer = answers.get(language)
        if answer is None:
            return "no_response"
        if answer.finish not in ("stop", "length"):
            return answer.finish
        if not answer.text.strip():
            return "empty_response"
        if answer.finish == "length" and truncated == "drop":
            return "truncated_response"
        return None

    def moved_fault(source, target):
        translation = moved.get((source, target))
        if translation is None:
            return "no_translation"
        if translation.status not in accept:
            return "translation_" + translation.status
        if not translation.text.strip():
            return "translation_empty"
        return None

    result = {}
    for xx in others:
        either_direction = moved_fault(d, xx) or moved_fault(xx, d)

        def settle(faults, prompt, chosen, rejected, either_direction=either_direction):
            own = next((fault for fault in faults if fault), None)
            if own:
                return ("dropped", own)
            if drop == "joint" and either_direction:
                return ("dropped", "other_direction_failed")
            if chosen.strip() == rejected.strip():
                return ("dropped", "identical")
            return ("pair", prompt, chosen.strip(), rejected.strip())

        picked = others[-1] if one == "last" else others[zlib.crc32(f"{seed}/{prompt_id}".encode()) % len(others)]
        if dominant_pairs == "none" or (dominant_pairs == "one" and xx != picked):
            result[xx, "dominant"] = ("not requested", f"dominant_pairs: {dominant_pairs}")
        else:
            back = moved.get((xx, d), Moved(""))
            faults = [answer_fault(d), moved_fault(xx, d)]
            result[xx, "dominant"] = settle(faults, texts[d], answers.get(d, Answer("")).text, back.text)

        if is_bound and translation_type == "skip":
            result[xx, "non_dominant"] = ("not requested", "translation_type: skip")
            continue
        if is_bound and translation_type == "keep_source":
            chosen, faults = answers.get(d, Answer("")).text, [answer_fault(d), answer_fault(xx)]
        else:
            chosen = moved.get((d, xx), Moved("")).text
            faults = [answer_fault(d), moved_fault(d, xx), answer_fault(xx)]
        result[xx, "non_dominant"] = settle(faults, texts[xx], chosen, answers.get(xx, Answer("")).text)
    return result

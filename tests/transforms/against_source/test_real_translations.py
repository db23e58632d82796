"""Statuses of real texts: whoever makes reading quicker changes none of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from lidr.transforms.against_source import untranslated_all
from lidr.transforms.detection import decide_language

CODES = ("de", "en", "es", "fr", "ja", "ru", "th", "zh")


def test_real_texts_keep_the_statuses_that_they_had(data_folder):
    def lines(path):
        return [json.loads(line) for line in (data_folder / path).read_text(encoding="utf-8").splitlines()[:100]]

    said = [[row["instruction"] for row in lines(f"alpagasus/{code}.jsonl")] for code in CODES]
    rows = [
        (
            text,
            said[1][number],
            CODES[(at + number) % len(CODES)],
        )  # each is asked for in its own language, and in others
        for at, texts in enumerate(said)
        for number, text in enumerate(texts)
    ]
    rows += [(row["en2fr_reponse"], row["response"], "fr") for row in lines("llama3_m0/en_to_fr.jsonl")]
    found = untranslated_all(rows, CODES)
    assert Counter(found) == {"wrong_language": 601, "copied_source": 100, None: 199}
    assert hashlib.sha256("\n".join(map(str, found)).encode()).hexdigest().startswith("d9ef069c714a90a7")


def test_a_translation_of_one_paragraph_is_read_once(monkeypatch):
    text = "Im Frühling fliegen die Bienen zu den Blüten der alten Apfelbäume hinter dem Haus."
    read, real = [], decide_language.read_once
    monkeypatch.setattr(decide_language, "read_once", lambda text: read.append(text) or real(text))
    source = "In spring the bees fly to the blossoms of the old apple trees behind the house."
    assert untranslated_all([(text, source, "de")], CODES) == [None]
    assert read == [text]

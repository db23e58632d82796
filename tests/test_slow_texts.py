"""No text can make a reader hang: each reads texts that are made to be slow in time that grows with their length."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from lidr.cli.common import printable
from lidr.evals.judge.answer_reading import read_logprobs, read_mark, read_scores, read_text
from lidr.evals.judge.judge_template import parse_template
from lidr.evals.mgsm import mgsm_task
from lidr.evals.mgsm.number_reading import gold_number, read_number
from lidr.hub.front_matter import compose, config_names, read_front_matter
from lidr.hub.hub_errors import without_secrets
from lidr.hub.redact import without_paths
from lidr.hub_server import card_rules
from lidr.hub_server.pages.markdown import render
from lidr.language_tags import read_tag
from lidr.lineage.picture import _safe
from lidr.markup import word_differences
from lidr.preferences import messages
from lidr.references import parse_reference
from lidr.release.cards.card_tables import markdown_table, sample_block
from lidr.release.cards.sample_texts import sample_text
from lidr.report.samples import cut
from lidr.steps.answering import storable
from lidr.transforms import filters, language_id
from lidr.transforms.plain_translations import has_words, read_untagged, read_whole, split_lines
from lidr.transforms.refusals import is_refusal
from lidr.transforms.text_shingles import normal, shingles
from lidr.transforms.translations import parse_paragraphs, parse_translation, split_paragraphs
from tests.slow_texts import TEXTS, Reader, too_slow

SAMPLE = {"pair_id": "p", "language": "es", "kind": "dominant", "prompt_text": "a", "chosen_text": "b",
          "rejected_text": "c", "chosen_key": "p/es", "rejected_key": "p/en->es"}  # fmt: skip


def answer(text: str) -> dict[str, object]:
    """A judge's answer."""
    return {"choices": [{"message": {"content": text}, "logprobs": None}], "usage": {}}


def series(text: str) -> pl.Series:
    return pl.Series([storable(text)], dtype=pl.String)


def alone(expression: Callable[[pl.Expr], pl.Expr]) -> Reader:
    return lambda text: pl.select(expression(pl.lit(storable(text)))).item()


def or_refused(reader: Reader) -> Reader:
    """For a reader that refuses what it cannot read."""

    def read(text: str) -> object:
        try:
            return reader(text)
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            return error
        except Exception as error:
            assert type(error).__module__ == "lidr.errors", error  # noqa: PT017
            return error

    return read


READERS: dict[str, Reader] = {
    "words that differ": lambda text: word_differences(text, text[::-1], 100),
    "words that differ from every second": lambda text: word_differences(text, text[::2], 100),
    "a sample of a card": lambda text: sample_text({**SAMPLE, "chosen_text": text}),
    **{f"number in {code}": (lambda text, code=code: read_number(text, code)) for code in ("en", "sw", "ja")},
    "gold number": or_refused(gold_number),
    "flexible extraction": lambda text: mgsm_task._is_flexibly_right(text, "18"),
    "translation": lambda text: parse_translation(
        text, "stop", "Bees make honey.", target="es", candidates=("en", "es")
    ),
    "translation of": lambda text: parse_translation("Las abejas.", "stop", text, target="es", candidates=("en", "es")),
    "translation by paragraph": lambda text: parse_paragraphs(
        [(text, "stop")], [text], target="es", candidates=("en",)
    ),
    "translation without tags": lambda text: read_untagged(
        [(piece, "stop") for piece in split_lines(text) if has_words(piece)], text
    ),
    "translation of others": lambda text: read_whole(text, text[::-1], target="es", candidates=("en",)),
    "paragraphs": split_paragraphs,
    "refusal": is_refusal,
    "prose": alone(language_id.prose),
    "script share": alone(lambda text: language_id.script_share(text, "ru")),
    "language": lambda text: language_id.identify(series(text), ("en", "es", "de")),
    "repeated line": lambda text: filters.repeated_line(series(text), 5),
    "repeated words": lambda text: filters.ngram_share(series(text), 4),
    "shingles": lambda text: shingles(normal(series(text)), 5),
    "judge in words": lambda text: read_text(answer(text)),
    "judge's scores": lambda text: read_scores(answer(text)),
    "judge's mark": lambda text: read_mark(answer(text)),
    "judge's log-probabilities": lambda text: read_logprobs(answer(text)),
    "judge's template": or_refused(lambda text: parse_template(text.encode("utf-8", "replace"), "t", needs=("a",))),
    "front matter": or_refused(read_front_matter),
    "front matter of others": or_refused(lambda text: compose({"license": "mit"}, "ours", text)),
    "names of configurations": or_refused(config_names),
    "Hub card": or_refused(lambda text: card_rules.metadata(text)),
    "Hub card's rules": or_refused(lambda text: card_rules.validate(text, "dataset")),
    "Hub page": or_refused(lambda text: render(text, base="/x")),
    "paths": without_paths,
    "secrets": without_secrets,
    "terminal": printable,
    "language tag": or_refused(read_tag),
    "reference": or_refused(parse_reference),
    "reference to a server": or_refused(lambda text: parse_reference(f"openai:m@http://h/{text}")),
    "table in a card": lambda text: markdown_table(("a",), ((text,),)),
    "sample in a card": lambda text: sample_block({"chosen": text}),
    "sample in a report": cut,
    "label in a picture": _safe,
    "turns in a text": messages._turns,
    "common start of two texts": lambda text: messages._parted(text, text + "x"),
}


NUMBERS = [kind for kind, made in TEXTS.items() if any(map(str.isnumeric, made(200))) or "number" in kind]
KINDS = dict.fromkeys(("number in sw", "number in ja"), NUMBERS)
"""Kinds of texts that these readers read in another way than `number in en` does; all others read all of them."""


@pytest.mark.parametrize("name", READERS)
def test_time_grows_with_the_length_alone(name: str) -> None:
    reader = READERS[name]
    reader("Bees make honey.")
    slow = {kind: too_slow(reader, TEXTS[kind]) for kind in KINDS.get(name, TEXTS)}
    assert not any(slow.values()), {kind: said for kind, said in slow.items() if said}


def test_the_check_finds_a_slow_reader_and_no_other() -> None:
    def read_once(text: str) -> None:
        for _ in range(2_000):
            text.split("a")

    def read_from_every_place(text: str) -> None:
        for start in range(len(text)):
            text[start:].split("a")

    assert not too_slow(read_once, TEXTS["a"])
    assert too_slow(read_from_every_place, TEXTS["a"])

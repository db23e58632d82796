import json
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.rows import TRANSLATION_STATUSES, TranslationStatus
from lidr.transforms.against_source import is_copy, may_be_copy
from lidr.transforms.plain_translations import has_words, read_untagged, read_whole, split_lines
from lidr.transforms.translations import (
    PREFILL,
    Attempt,
    Parsed,
    is_refusal,
    join_paragraphs,
    parse_paragraphs,
    parse_translation,
    retry_plan,
    split_paragraphs,
    translation_messages,
)

BEES = "Bees make honey and wax. They store the honey in small cells as food for the winter."
ABEJAS = "Las abejas hacen miel y cera. Guardan la miel en pequeñas celdas como alimento para el invierno."
ПЧЁЛЫ = "Пчёлы делают мёд и воск. Они хранят мёд в маленьких сотах как пищу на зиму."
MITSUBACHI = "ミツバチは蜂蜜と蜜蝋を作ります。冬の食べ物として、小さな巣房に蜂蜜を蓄えます。"


def read(raw: str, finish: str = "stop", source: str = BEES, target: str = "es") -> Parsed:
    return parse_translation(raw, finish, source, target=target, candidates=["en", "es", "fr", "ru", "ja"])  # type: ignore[arg-type]


def test_the_request_is_the_papers_to_the_byte() -> None:
    (message,) = translation_messages("Bees make {honey}.\n\nAnd wax.", "French")
    assert message["role"] == "user"
    assert message["content"] == (
        "Please translate the following sentences into French. The input sentences are wrapped by <sentence> and "
        "</sentence>:\n"
        "\n"
        "<sentence>\n"
        "Bees make {honey}.\n"
        "\n"
        "And wax.\n"
        "</sentence>\n"
        "\n"
        "The translated result should be wrapped by <translated> and </translated>.\n"
    )
    assert PREFILL == "<translated>\n"


# Statuses


@pytest.mark.parametrize(
    ("raw", "finish", "expected"),
    [
        (f"{ABEJAS}\n</translated>", "stop", (ABEJAS, "ok")),
        (f"{ABEJAS}\n</translated>", "length", (ABEJAS, "ok")),  # closed before it was cut
        (f"{ABEJAS}\n</translated>\n\nNote: I kept</translated>", "stop", (ABEJAS, "ok")),  # the first closing tag wins
        (f"{ABEJAS}\n\n{ABEJAS}</translated>", "stop", (f"{ABEJAS}\n\n{ABEJAS}", "ok")),
        (ABEJAS, "stop", (ABEJAS, "unclosed_at_end")),
        (ABEJAS[:40], "length", (ABEJAS[:40].strip(), "truncated")),
        ("", "prompt_too_long", ("", "truncated")),
        ("\n \n</translated>", "stop", ("", "empty")),
        ("", "stop", ("", "empty")),
        ("", "length", ("", "truncated")),
        (f"{BEES.upper()} </translated>", "stop", (BEES.upper(), "copied_source")),
        (f"{ПЧЁЛЫ}</translated>", "stop", (ПЧЁЛЫ, "wrong_language")),
        (f"The {BEES}</translated>", "stop", (f"The {BEES}", "wrong_language")),
        ("I'm sorry, but I can't translate it.", "stop", ("I'm sorry, but I can't translate it.", "refused")),
        ("Lo siento, pero no puedo traducir.</translated>", "stop", ("Lo siento, pero no puedo traducir.", "refused")),
    ],
)  # fmt: skip
def test_what_was_written_is_classed(raw: str, finish: str, expected: tuple[str, str]) -> None:
    assert read(raw, finish) == expected


@pytest.mark.parametrize("source", ["", " \n", None])
def test_without_a_response_there_is_nothing_to_translate(source: str | None) -> None:
    assert parse_translation(f"{ABEJAS}</translated>", "stop", source) == ("", "failed_upstream")


@pytest.mark.parametrize(("text", "target"), [(ПЧЁЛЫ, "ru"), (MITSUBACHI, "ja"), (ABEJAS, "es")])
def test_the_language_asked_for_is_right(text: str, target: str) -> None:
    assert read(f"{text}</translated>", target=target) == (text, "ok")


def test_a_script_that_no_candidate_has_is_the_wrong_language() -> None:
    assert read("ผึ้งทำน้ำผึ้งและขี้ผึ้ง เก็บไว้เป็นอาหาร</translated>")[1] == "wrong_language"


def test_an_undecidable_language_is_no_reason_to_refuse() -> None:
    assert read("42</translated>", source="Forty-two") == ("42", "ok")


def test_without_a_target_the_language_is_not_looked_at() -> None:
    assert parse_translation(f"{ПЧЁЛЫ}</translated>", "stop", BEES).status == "ok"


@pytest.mark.parametrize("source", ["7 · 6 = 42", "```python\nprint(7 * 6)\n```", "https://example.org/bees", "🐝🐝"])
def test_what_has_no_words_may_stay_as_it_is(source: str) -> None:
    assert read(f"{source}\n</translated>", source=source) == (source, "ok")


# Markup


@pytest.mark.parametrize(
    "raw",
    [
        f"<translated>\n{ABEJAS}\n</translated>",
        f"< Translated >{ABEJAS}</ TRANSLATED >",
        f"<translated>\n<translated>\n{ABEJAS}\n</translated>\n</translated>",
        f"<sentence>\n{ABEJAS}\n</sentence>\n</translated>",
        f"{ABEJAS}\n</sentence>\n</translated>",
        f"Here is the translation:\n<translated>\n{ABEJAS}\n</translated>",
        f"以下は翻訳です：<translated>{ABEJAS}</translated>",
    ],
)
def test_tags_of_the_prompt_are_taken_out_and_the_text_is_ok(raw: str) -> None:
    assert read(raw) == (ABEJAS, "ok")


@pytest.mark.parametrize("end", ["</sentence>", "</translation>", "</traducido>", "</перевод>", " </translated >"])
def test_a_wrong_closing_tag_at_the_end_goes_too(end: str) -> None:
    assert read(f"{ABEJAS}\n{end}")[0] == ABEJAS


def test_a_closing_tag_of_the_source_stays_at_the_end() -> None:
    source = f"<p>{BEES}</p>"
    assert read(f"<p>{ABEJAS}</p>", source=source) == (f"<p>{ABEJAS}</p>", "unclosed_at_end")


def test_what_stands_before_a_second_opening_tag_is_kept_when_it_may_be_translation() -> None:
    first, second = ABEJAS.split(". ", 1)
    assert read(f"{first}.\n<translated>\n{second}</translated>") == (f"{first}.\n\n{second}", "ok")


def test_a_tag_that_the_source_has_stays() -> None:
    source = f"{BEES} Write it between <sentence> and the end."
    text = f"{ABEJAS} Escríbelo entre <sentence> y el final."
    assert read(f"{text}</sentence></translated>", source=source) == (text, "ok")


# Refusals


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot translate this text.",
        "**I can’t provide that.**",
        "As an AI language model, I have no opinion.",
        "Lo siento, no puedo ayudar con eso.",
        "Désolé, mais je ne peux pas traduire ce texte.",
        "Es tut mir leid, aber ich kann das nicht übersetzen.",
        "Ich kann diesen Text leider nicht übersetzen.",
        "Mi dispiace, ma non posso tradurre questo testo.",
        "Desculpe, mas não posso traduzir este texto.",
        "Извините, но я не могу перевести этот текст.",
        "抱歉，我无法翻译这段文字。",
        "申し訳ありませんが、その文章は翻訳できません。",
        "죄송하지만 이 글은 번역할 수 없습니다.",
        "عذرًا، لا أستطيع ترجمة هذا النص.",
        "क्षमा करें, मैं इसका अनुवाद नहीं कर सकता।",
        "ขออภัย ฉันไม่สามารถแปลข้อความนี้ได้",
    ],
)
def test_a_refusal_is_known_by_how_it_begins(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        BEES,
        ABEJAS,
        "I can't see the sea from here.",
        "I'm sorry, but the shop is closed.",
        "I can't help but smile.",
        "No puedo dormir.",
        "Ich kann das Auto nicht finden.",
        "Als KI-Ingenieurin arbeitet sie in Wien.",
        "Я не могу найти ключи.",
        "申し訳ありませんが、店は閉まっています。",
        "The bee said: I cannot translate.",
        "",
    ],
)
def test_ordinary_speech_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("I'm sorry, but I can't help with that.", "Lo siento, pero no puedo ayudar con eso."),
        ("Извините, но я не могу помочь с этим запросом.", "Lo siento, pero no puedo ayudar con esa solicitud."),
    ],
)
def test_a_refusal_translated_is_a_translation(source: str, text: str) -> None:
    assert read(f"{text}</translated>", source=source) == (text, "ok")


# Folding


@pytest.mark.parametrize(
    ("text", "source", "same"),
    [
        ("bees make HONEY", "Bees make honey!", True),
        ("Bees make wax", "Bees make honey", False),
        ("Ｂees", "bees", True),  # full-width letter
        ("пчёлы", "Пче\u0308лы", True),  # combining diaeresis
        ("пчелы", "пчёлы", False),
        ("कि", "की", False),  # vowel signs count
        ("12", "12", False),  # no letters
        ("«Мёд»", "мёд", True),
    ],
)
def test_a_copy_differs_in_case_space_and_punctuation_only(text: str, source: str, same: bool) -> None:
    assert pl.select(is_copy(pl.lit(text), pl.lit(source))).item() is same


words = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(deadline=None)
@given(words, words)
def test_every_copy_begins_like_its_source(text: str, source: str) -> None:
    frame = pl.DataFrame({"a": [text, text, f" {text.upper()}!"], "b": [source, text, text]})
    both = frame.select(copy=is_copy(pl.col("a"), pl.col("b")), may=may_be_copy(pl.col("a"), pl.col("b")))
    assert both.filter(pl.col("copy") & ~pl.col("may")).is_empty()


# Anything a policy may write


pieces = st.sampled_from(["<translated>", "</translated>", "</sentence>", "<", ">", "\n", ":", ABEJAS, "\ud83d", "蜂"])
raws = st.lists(pieces | st.text(max_size=8), max_size=8).map("".join)


@settings(deadline=None)
@given(raws, st.sampled_from(["stop", "length", "prompt_too_long"]), st.text(max_size=8) | st.just(BEES))
def test_parsing_never_raises_and_its_text_can_be_stored(raw: str, finish: str, source: str) -> None:
    text, status = read(raw, finish, source)
    assert status in TRANSLATION_STATUSES
    assert text == text.strip()
    assert text.encode().decode() == text
    assert (status in ("empty", "failed_upstream")) <= (text == "")
    if "<sentence>" not in source:
        assert "<sentence>" not in text


def test_half_a_character_becomes_the_replacement_character() -> None:
    assert read(f"{ABEJAS}\ud83d</translated>") == (f"{ABEJAS}\ufffd", "ok")


def test_a_megabyte_is_read_in_seconds() -> None:
    began = time.monotonic()
    assert read(ABEJAS * 11_000, "length").status == "truncated"
    assert read(f"{ABEJAS * 11_000}</translated>").status == "ok"
    assert read(("<" + " " * 50) * 20_000).status == "unclosed_at_end"
    assert read("a" * 1_000_000 + "</translated>").status in ("ok", "wrong_language")  # 6 minutes if read whole
    assert time.monotonic() - began < 20


# Trying again


def test_retries_ask_for_more_tokens_then_by_paragraph_then_with_temperature() -> None:
    assert retry_plan(4, max_tokens=80, retry_max_tokens=128, paragraphs=3, seed=42) == [
        Attempt(80, split=False, temperature=0.0, seed=42),
        Attempt(128, split=False, temperature=0.0, seed=42),
        Attempt(128, split=True, temperature=0.0, seed=42),
        Attempt(128, split=False, temperature=0.7, seed=43),
        Attempt(128, split=False, temperature=0.7, seed=44),
    ]


def test_one_paragraph_is_not_split() -> None:
    assert [attempt.split for attempt in retry_plan(3, max_tokens=80)] == [False] * 4


def test_more_tokens_are_not_tried_where_the_answer_was_not_cut() -> None:
    assert retry_plan(1, max_tokens=80, status="refused") == [Attempt(80), Attempt(160, temperature=0.7, seed=1)]


def test_no_retries_are_one_attempt() -> None:
    assert retry_plan(0, max_tokens=80) == [Attempt(80)]


@settings(deadline=None)
@given(
    st.integers(0, 6), st.integers(1, 500), st.none() | st.integers(1, 500), st.integers(1, 4),
    st.sampled_from(TRANSLATION_STATUSES), st.sampled_from([0.0, 0.7, 1.0]),
)  # fmt: skip
def test_no_two_attempts_are_alike(
    times: int, max_tokens: int, more: int | None, paragraphs: int, status: TranslationStatus, temperature: float
) -> None:
    plan = retry_plan(times, max_tokens=max_tokens, retry_max_tokens=more, paragraphs=paragraphs, status=status,
                      temperature=temperature)  # fmt: skip
    assert len(plan) == len(set(plan)) == times + 1
    assert plan[0] == Attempt(max_tokens, temperature=temperature)
    assert all(attempt.max_tokens >= max_tokens for attempt in plan)


def test_paragraphs_are_cut_after_blank_lines_only() -> None:
    text = "\n# Bienen\n \n- Honig\n- Wachs\n\n\nEnde"
    assert split_paragraphs(text) == ["\n# Bienen\n \n", "- Honig\n- Wachs\n\n\n", "Ende"]


def test_fenced_code_is_one_piece() -> None:
    code = "```python\na = 1\n\nb = 2\n```"
    assert split_paragraphs(f"Vorher\n\n{code}\n\nNachher") == ["Vorher\n\n", f"{code}\n\n", "Nachher"]


def test_translated_paragraphs_stand_where_their_sources_stood() -> None:
    source = split_paragraphs("\nBees make honey.\n\n\nThey store it.\n")
    assert join_paragraphs([" 蜂は蜂蜜を作る。\n", "蓄える。"], like=source) == "\n蜂は蜂蜜を作る。\n\n\n蓄える。\n"


def by_paragraph(*answers: tuple[str, str], source: str = f"HTML\n\n{BEES}\n") -> Parsed:
    return parse_paragraphs(answers, split_paragraphs(source), target="es", candidates=["en", "es"])  # type: ignore[arg-type]


def test_a_heading_may_stay_as_it_is_but_the_whole_may_not() -> None:
    heading = ("HTML\n</translated>", "stop")
    assert by_paragraph(heading, (f"{ABEJAS}</translated>", "stop")) == (f"HTML\n\n{ABEJAS}", "ok")
    assert by_paragraph(heading, (f"{BEES}</translated>", "stop")).status == "copied_source"
    assert by_paragraph(heading, (f"The {BEES}</translated>", "stop")).status == "wrong_language"


@pytest.mark.parametrize(
    ("raw", "finish", "status"),
    [
        (ABEJAS[:40], "length", "truncated"),
        ("</translated>", "stop", "empty"),
        ("Lo siento, no puedo traducir.</translated>", "stop", "refused"),
        (ABEJAS, "stop", "unclosed_at_end"),
    ],
)
def test_one_failed_paragraph_fails_the_whole(raw: str, finish: str, status: str) -> None:
    assert by_paragraph(("HTML</translated>", "stop"), (raw, finish)).status == status


def test_a_paragraph_too_few_is_refused() -> None:
    with pytest.raises(ValueError):
        join_paragraphs(["a"], like=["a\n\n", "b"])


@settings(deadline=None)
@given(st.text(st.sampled_from("a蜂\n\r \t`\u2028\u3000é")))
def test_joining_what_was_split_is_the_identity(text: str) -> None:
    pieces = split_paragraphs(text)
    assert "".join(pieces) == text
    assert join_paragraphs(pieces, like=pieces) == text
    assert join_paragraphs([piece.strip() for piece in pieces], like=pieces) == text
    assert all(piece.strip() for piece in pieces) or len(pieces) == 1


def test_llama3s_own_translations_are_ok_but_for_one_english_sentence(data_folder: Path) -> None:
    lines = Path(data_folder, "llama3_m0", "en_to_fr.jsonl").read_text("utf-8").splitlines()
    rows = [row for line in lines if (row := json.loads(line))["en2fr_reponse"] != "Translation Error"]
    failed = {
        row["id"]: parsed.status
        for row in rows
        if (parsed := read(f"{row['en2fr_reponse']}</translated>", "stop", row["response"], "fr")).status != "ok"
    }
    assert len(rows) == 922
    assert failed == {"alpagasus-273": "copied_source"}  # a sentence stayed English


# A closing tag that the source has


@pytest.mark.parametrize(
    ("source", "raw", "expected"),
    [
        (
            "Use </translated> to close. More text.",
            "Usa </translated> para cerrar.\nMás texto.\n</translated>",
            "Usa </translated> para cerrar.\nMás texto.",
        ),
        (
            "Use </translated> to close.",
            "Usa </translated> para cerrar.\n</translated>\n\nNote: kept.\n</translated>",
            "Usa </translated> para cerrar.",
        ),
        ("Use </translated> to close.", "Usa eso para cerrar.\n</translated>\nNote: kept.", "Usa eso para cerrar."),
        ("Use </translated> to close.", "Usa eso para cerrar.</translated>", "Usa eso para cerrar."),
        (
            "First\n</translated>\nthen more.",
            "Primero\n</translated>\ny más.\n</translated>",
            "Primero\n</translated>\ny más.",
        ),
        ("It ends with </translated>", "Termina con </translated>\n</translated>", "Termina con </translated>"),
        ("<translated> opens it.", "<translated> lo abre.\n</translated>", "<translated> lo abre."),
        ("<translated> opens it.", "<translated>\n<translated> lo abre.\n</translated>", "<translated> lo abre."),
        (
            "<translated>One</translated> is the form.",
            "<translated>Uno</translated> es la forma.\n</translated>",
            "<translated>Uno</translated> es la forma.",
        ),
    ],
)  # fmt: skip
def test_a_tag_that_the_source_has_neither_ends_nor_begins_the_text(source: str, raw: str, expected: str) -> None:
    assert parse_translation(raw, "stop", source) == (expected, "ok")


def test_with_a_tag_of_the_source_alone_the_text_is_not_closed() -> None:
    source = "Use </translated> to close. More text."
    cut = parse_translation("Usa </translated> para cerrar. Más", "length", source)
    assert cut == ("Usa </translated> para cerrar. Más", "truncated")
    assert parse_translation("Usa </translated> para cerrar. Más.", "stop", source).status == "unclosed_at_end"


# Time grows with the length of the text, and no faster


GROWING = {
    "open": "<",
    "open and space": "< ",
    "open and spaces": "<    ",
    "closing": "</translated>",
    "opening": "<translated>",
    "spaced tags": "< / translated >",
    "tags of others": "</a>  ",
    "newlines": "\n",
    "paragraphs": "a\n\n",
    "fence": "```\n",
    "prose": "The bees make honey here. ",
    "letters": "a",
    "Thai": "ผึ้ง",
    "dots": ". ",
    "equals": "= ",
    "hyphens": "a-",
    "combining": "\u0301",
}


@pytest.mark.parametrize("kind", GROWING)
def test_a_text_ten_times_as_long_is_read_in_about_ten_times_the_time(kind: str) -> None:
    def read_it(size: int) -> float:
        unit = GROWING[kind]
        text = (unit * (size // len(unit) + 1))[:size]
        started = time.process_time()
        for source in (BEES, text):
            for written in (text, f"{ABEJAS}\n\n{text}x"):
                read(written, source=source)
                read_whole(written, source, target="es", candidates=["en", "es"])
        read_untagged([("a", "stop") for piece in split_lines(text) if has_words(piece)], text)
        split_paragraphs(text)
        return time.process_time() - started

    read_it(1_000)  # what is loaded once
    short = min(read_it(10_000) for _ in range(2))
    assert read_it(100_000) < 15 * short + 0.2


def test_one_open_tag_before_a_hundred_thousand_spaces_takes_no_time() -> None:
    started = time.process_time()
    read("<" + " " * 100_000)
    assert time.process_time() - started < 1

"""Translations by someone who had not seen the rules: equal in both languages, kept in part, with tags."""

from __future__ import annotations

import pytest

from lidr.transforms.translations import parse_translation

CODES = ("en", "de", "fr", "es", "ru", "th", "zh", "ja", "sw")
EN = (
    "Regular exercise keeps the heart healthy and helps people sleep better at night.",
    "It also lifts the mood, because the body releases endorphins while you are moving.",
    "Start with short walks, and add a little more time every week until you reach half an hour.",
)
DE = (
    "Regelmäßige Bewegung hält das Herz gesund und hilft, nachts besser zu schlafen.",
    "Außerdem hebt sie die Stimmung, weil der Körper beim Bewegen Endorphine ausschüttet.",
    "Beginne mit kurzen Spaziergängen und gehe jede Woche etwas länger, bis du eine halbe Stunde schaffst.",
)
FR = (
    "L'exercice régulier garde le cœur en bonne santé et aide à mieux dormir la nuit.",
    "Il améliore aussi l'humeur, car le corps libère des endorphines pendant l'effort.",
    "Commencez par de courtes promenades et ajoutez un peu de temps chaque semaine.",
)
NL = (
    "Regelmatige beweging houdt het hart gezond en helpt mensen beter te slapen.",
    "Het verbetert ook de stemming, omdat het lichaam endorfine aanmaakt tijdens het bewegen.",
    "Begin met korte wandelingen en loop elke week iets langer.",
)
PT = (
    "O exercício regular mantém o coração saudável e ajuda as pessoas a dormir melhor.",
    "Também melhora o humor, porque o corpo liberta endorfinas durante o movimento.",
    "Comece com caminhadas curtas e acrescente um pouco de tempo todas as semanas.",
)
ES = (
    "El ejercicio regular mantiene el corazón sano y ayuda a dormir mejor por la noche.",
    "También mejora el ánimo, porque el cuerpo libera endorfinas mientras te mueves.",
    "Empieza con paseos cortos y añade un poco más de tiempo cada semana.",
)
PARAGRAPHS = "\n\n"
CODE = "```python\n# read the file and count the words in it, one line after another\nprint(len(text.split()))\n```"


def status(text: str, source: str, target: str) -> str:
    return parse_translation(f"{text}\n</translated>", "stop", source, target=target, candidates=CODES).status


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("de", "42"),
        ("fr", "3.14159"),
        ("es", "def add(a, b):\n    return a + b"),
        ("de", "```python\nfor i in range(10):\n    print(i)\n```"),
        ("fr", "Marie Curie"),
        ("ru", "E = mc^2"),
        ("zh", "https://arxiv.org/abs/2410.08964"),
        ("de", "New York"),
        ("es", "A) 12\nB) 15\nC) 18"),
        ("fr", "x^2 + 2x + 1 = (x + 1)^2"),
        ("de", "SELECT name FROM users WHERE id = 3;"),
        ("fr", "[1, 2, 3]"),
        ("th", "GPT-4"),
        ("ja", "NaCl + H2O"),
        ("de", '{"name": "Anna", "age": 12}'),
        ("es", "C"),
        ("sw", "Google Chrome"),
        ("de", "ls -la /home"),
        ("de", "user@example.org"),
        ("ru", "HTML, CSS, JavaScript"),
        ("fr", "$\\boxed{18}$"),
        ("de", '<div class="a"></div>'),
        ("zh", "12:30"),
        ("de", "Kindergarten"),
    ],
)
def test_what_is_the_same_in_both_languages_is_ok(target, text):
    assert status(text, text, target) == "ok"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("de", "Bees make honey and live in a hive."),
        ("ru", "The capital of France is Paris."),
        ("th", "Yes, you can do that."),
        ("sw", "First, wash your hands. Then dry them well."),
        ("zh", "I do not know the answer to that question."),
    ],
)
def test_a_sentence_that_stayed_is_a_copy(target, text):
    assert status(text, text, target) == "copied_source"


@pytest.mark.parametrize(
    ("target", "parts", "joined", "found"),
    [
        ("de", (DE[0], DE[1], EN[2]), PARAGRAPHS, "copied_source"),
        ("de", (EN[0], DE[1], DE[2]), PARAGRAPHS, "copied_source"),
        ("fr", (FR[0], FR[1], EN[2]), PARAGRAPHS, "copied_source"),
        ("es", (ES[0], EN[1], EN[2]), " ", "copied_source"),
        ("es", (ES[0], ES[1], EN[2]), "\n- ", "copied_source"),
        ("de", (DE[0], NL[1], NL[2]), PARAGRAPHS, "wrong_language"),
        ("es", (ES[0], PT[1], PT[2]), PARAGRAPHS, "wrong_language"),
        ("de", (DE[0], FR[1], FR[2]), PARAGRAPHS, "wrong_language"),
        ("fr", (FR[0], ES[1], ES[2]), " ", "wrong_language"),
        ("de", NL, PARAGRAPHS, "wrong_language"),
        ("es", PT, PARAGRAPHS, "wrong_language"),
        ("de", DE, PARAGRAPHS, "ok"),
        ("fr", FR, PARAGRAPHS, "ok"),
        ("es", ES, " ", "ok"),
    ],
)
def test_a_translation_of_which_a_part_is_none_is_not_ok(target, parts, joined, found):
    assert status(joined.join(parts), joined.join(EN), target) == found


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        (
            "de",
            "Wash your hands.\n\nDry them with a clean towel.\n\nThen put on the gloves.",
            "Wasche deine Hände.\n\nDry them with a clean towel.\n\nThen put on the gloves.",
        ),
        (
            "th",
            "Wash your hands with soap. Dry them with a clean towel and then put on the white gloves.",
            "ล้างมือด้วยสบู่ Dry them with a clean towel and then put on the white gloves.",
        ),
    ],
)
def test_short_sentences_and_those_behind_a_space_alone_are_seen_to_have_stayed(target, source, text):
    assert status(text, source, target) == "copied_source"


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        (
            "de",
            "Translate: Das Haus ist groß und hat einen Garten.",
            "Übersetze: Das Haus ist groß und hat einen Garten.",
        ),
        ("de", "The motto is 'Veni, vidi, vici'.", "Das Motto lautet 'Veni, vidi, vici'."),
        ("de", f"Use this:\n\n{CODE}\n\nIt prints a number.", f"Nutze dies:\n\n{CODE}\n\nEs gibt eine Zahl aus."),
        ("de", "Name: Anna Smith\nCity: New York\nAge: 12", "Name: Anna Smith\nStadt: New York\nAlter: 12"),
        ("ja", "Use pandas.", "pandasを使ってください。"),
        ("th", "Press Ctrl+C to stop the program.", "กด Ctrl+C เพื่อหยุดโปรแกรม"),
        ("sw", "Yes.", "Ndiyo."),
        ("zh", "The keys are apple, banana and cherry.", "键是 apple、banana 和 cherry。"),
    ],
)
def test_what_stays_in_a_translation_by_right_is_ok(target, source, text):
    assert status(text, source, target) == "ok"


@pytest.mark.parametrize(
    ("source", "text", "behind"),
    [
        ("Close it with </translated> at the end.", "Schließe es am Ende mit </translated>.", ""),
        ("The tag </translated> ends a text.", "Das Tag </translated> beendet einen Text.", "\nExtra"),
        ("Write <translated>hello</translated>.", "Schreibe <translated>hallo</translated>.", ""),
        ("Write two: </translated></translated> now.", "Schreibe zwei: </translated></translated> jetzt.", ""),
        ("Close with </translated>", "Schließe mit </translated>", ""),
        ("Close with </translated> and go on.", "Schließe mit dem Tag und mache weiter.", "\n\nI hope this helps!"),
    ],
)
def test_a_closing_tag_of_the_source_does_not_cut_its_translation(source, text, behind):
    raw = f"{text}\n</translated>{behind}"
    assert parse_translation(raw, "stop", source, target="de", candidates=CODES) == (text, "ok")

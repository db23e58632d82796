"""Names, things and sentences of the miniature world, parallel in English, German and Spanish.

Every sentence is written for counts of two and more. `{name}` and the numbers stand for themselves in every language,
`{things}` is a plural, `{how_many}` agrees with it in Spanish. Written for this project, CC0-1.0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Operation = Literal["add", "subtract", "multiply"]

LANGUAGES = ("en", "de", "es")

NAMES = (
    *("Anna", "Clara", "David", "Emma", "Eva", "Felix", "Hugo", "Julia", "Laura", "Lena"),
    *("Leo", "Marta", "Martin", "Max", "Nina", "Oscar", "Paul", "Sara", "Simon", "Tom"),
)

THINGS: tuple[dict[str, str], ...] = tuple(
    {"en": en, "de": de, "es": es, "how_many": how_many}
    for en, de, es, how_many in (
        ("apples", "Äpfel", "manzanas", "Cuántas"),
        ("pears", "Birnen", "peras", "Cuántas"),
        ("lemons", "Zitronen", "limones", "Cuántos"),
        ("nuts", "Nüsse", "nueces", "Cuántas"),
        ("flowers", "Blumen", "flores", "Cuántas"),
        ("stones", "Steine", "piedras", "Cuántas"),
        ("shells", "Muscheln", "conchas", "Cuántas"),
        ("books", "Bücher", "libros", "Cuántos"),
        ("stamps", "Briefmarken", "sellos", "Cuántos"),
        ("pencils", "Bleistifte", "lápices", "Cuántos"),
        ("coins", "Münzen", "monedas", "Cuántas"),
        ("buttons", "Knöpfe", "botones", "Cuántos"),
        ("marbles", "Murmeln", "canicas", "Cuántas"),
        ("candles", "Kerzen", "velas", "Cuántas"),
        ("keys", "Schlüssel", "llaves", "Cuántas"),
        ("spoons", "Löffel", "cucharas", "Cuántas"),
        ("cups", "Tassen", "tazas", "Cuántas"),
        ("hats", "Hüte", "sombreros", "Cuántos"),
        ("shirts", "Hemden", "camisas", "Cuántas"),
        ("letters", "Briefe", "cartas", "Cuántas"),
    )
)


class Template(NamedTuple):
    """One kind of problem: by language, the question and the sentence that answers it."""

    operation: Operation
    question: dict[str, str]
    answer: dict[str, str]


def _template(operation: Operation, *sentences: tuple[str, str]) -> Template:
    question, answer = (dict(zip(LANGUAGES, texts, strict=True)) for texts in zip(*sentences, strict=True))
    return Template(operation, question, answer)


TEMPLATES = (
    _template(
        "add",
        ("{name} has {a} {things} and buys {b} more. How many {things} does {name} have now?",
         "{name} now has {result} {things}."),
        ("{name} hat {a} {things} und kauft {b} dazu. Wie viele {things} hat {name} jetzt?",
         "{name} hat jetzt {result} {things}."),
        ("{name} tiene {a} {things} y compra {b} más. ¿{how_many} {things} tiene {name} ahora?",
         "{name} tiene ahora {result} {things}."),
    ),
    _template(
        "add",
        ("There are {a} {things} on the table. {name} puts {b} more there. How many {things} are on the table now?",
         "There are now {result} {things} on the table."),
        ("Auf dem Tisch liegen {a} {things}. {name} legt noch {b} dazu. Wie viele {things} liegen jetzt auf dem Tisch?",
         "Auf dem Tisch liegen jetzt {result} {things}."),
        ("En la mesa hay {a} {things}. {name} pone {b} más. ¿{how_many} {things} hay ahora en la mesa?",
         "En la mesa hay ahora {result} {things}."),
    ),
    _template(
        "add",
        ("{name} finds {a} {things} in the morning and {b} in the afternoon. How many {things} does {name} find in "
         "total?", "{name} finds {result} {things} in total."),
        ("{name} findet am Morgen {a} {things} und am Nachmittag {b}. Wie viele {things} findet {name} insgesamt?",
         "{name} findet insgesamt {result} {things}."),
        ("{name} encuentra {a} {things} por la mañana y {b} por la tarde. ¿{how_many} {things} encuentra {name} en "
         "total?", "{name} encuentra {result} {things} en total."),
    ),
    _template(
        "subtract",
        ("{name} has {a} {things} and gives {b} of them away. How many {things} does {name} have left?",
         "{name} has {result} {things} left."),
        ("{name} hat {a} {things} und verschenkt {b} davon. Wie viele {things} hat {name} noch?",
         "{name} hat noch {result} {things}."),
        ("{name} tiene {a} {things} y regala {b}. ¿{how_many} {things} le quedan a {name}?",
         "A {name} le quedan {result} {things}."),
    ),
    _template(
        "subtract",
        ("There are {a} {things} in a box. {name} takes out {b}. How many {things} are left in the box?",
         "There are {result} {things} left in the box."),
        ("In einer Kiste sind {a} {things}. {name} nimmt {b} heraus. Wie viele {things} sind noch in der Kiste?",
         "In der Kiste sind noch {result} {things}."),
        ("En una caja hay {a} {things}. {name} saca {b}. ¿{how_many} {things} quedan en la caja?",
         "En la caja quedan {result} {things}."),
    ),
    _template(
        "subtract",
        ("{name} needs {a} {things} and already has {b}. How many {things} does {name} still need?",
         "{name} still needs {result} {things}."),
        ("{name} braucht {a} {things} und hat schon {b}. Wie viele {things} braucht {name} noch?",
         "{name} braucht noch {result} {things}."),
        ("{name} necesita {a} {things} y ya tiene {b}. ¿{how_many} {things} le faltan a {name}?",
         "A {name} le faltan {result} {things}."),
    ),
    _template(
        "multiply",
        ("{name} buys {a} bags. There are {b} {things} in each bag. How many {things} does {name} buy in total?",
         "{name} buys {result} {things} in total."),
        ("{name} kauft {a} Tüten. In jeder Tüte sind {b} {things}. Wie viele {things} kauft {name} insgesamt?",
         "{name} kauft insgesamt {result} {things}."),
        ("{name} compra {a} bolsas. En cada bolsa hay {b} {things}. ¿{how_many} {things} compra {name} en total?",
         "{name} compra {result} {things} en total."),
    ),
    _template(
        "multiply",
        ("{name} puts {b} {things} into each of {a} boxes. How many {things} are in the boxes in total?",
         "There are {result} {things} in the boxes in total."),
        ("{name} legt in jede von {a} Kisten {b} {things}. Wie viele {things} sind insgesamt in den Kisten?",
         "In den Kisten sind insgesamt {result} {things}."),
        ("{name} mete {b} {things} en cada una de {a} cajas. ¿{how_many} {things} hay en total en las cajas?",
         "En las cajas hay {result} {things} en total."),
    ),
    _template(
        "multiply",
        ("{name} collects {b} {things} every day. How many {things} does {name} collect in {a} days?",
         "{name} collects {result} {things} in {a} days."),
        ("{name} sammelt jeden Tag {b} {things}. Wie viele {things} sammelt {name} in {a} Tagen?",
         "{name} sammelt in {a} Tagen {result} {things}."),
        ("{name} junta {b} {things} cada día. ¿{how_many} {things} junta {name} en {a} días?",
         "{name} junta {result} {things} en {a} días."),
    ),
)  # fmt: skip

FINAL = {"en": "Answer: {result}", "de": "Antwort: {result}", "es": "Respuesta: {result}"}
"""The last line of an answer; its first word is what MGSM's reader looks for."""

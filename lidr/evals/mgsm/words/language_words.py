"""The words of MGSM's eleven languages: what an answer begins with, and lidr's own short instruction.

An instruction asks for the reasoning in the question's language and for a last line `<word>: <integer>`, which is what
`number_reading` looks for. The words are matched with their capital, as evaluation by prefix is measured with.
"""

from __future__ import annotations

from typing import NamedTuple


class MgsmWords(NamedTuple):
    """One language."""

    answer: str
    """The word that opens an answer."""
    follows: str
    """What may not follow it, as a regular expression, because it makes another word (答える, to answer)."""
    instruction: str
    """Put before a question, with an empty line between."""


_LETTER = r"[^\W\d_]"

WORDS: dict[str, MgsmWords] = {
    "en": MgsmWords(
        "Answer",
        _LETTER,
        "Solve this math problem step by step. Then write the final result on a last line of its own, as an integer "
        'with nothing after it, in the form "Answer: <integer>".',
    ),
    "de": MgsmWords(
        "Antwort",
        _LETTER,
        "Löse diese Rechenaufgabe Schritt für Schritt. Schreibe dann das Endergebnis als ganze Zahl in eine eigene "
        'letzte Zeile, ohne etwas dahinter, in der Form "Antwort: <ganze Zahl>".',
    ),
    "es": MgsmWords(
        "Respuesta",
        _LETTER,
        "Resuelve este problema de matemáticas paso a paso. Después escribe el resultado final, un número entero, en "
        'una última línea aparte y sin nada detrás, con la forma "Respuesta: <número entero>".',
    ),
    "fr": MgsmWords(
        "Réponse",
        _LETTER,
        "Résous ce problème de mathématiques étape par étape. Écris ensuite le résultat final, un nombre entier, seul "
        "sur une dernière ligne et sans rien après, sous la forme « Réponse : <nombre entier> ».",
    ),
    "ru": MgsmWords(
        "Ответ",
        _LETTER,
        "Реши эту задачу по шагам. Затем запиши окончательный результат целым числом в отдельной последней строке, "
        "ничего не добавляя после него, в виде «Ответ: <целое число>».",
    ),
    "zh": MgsmWords(
        "答案",
        "",
        "请一步一步解答这道数学题。然后在最后单独一行写出最终结果，结果为整数，后面不要再写任何内容，格式为“答案：<整数>”。",
    ),
    "ja": MgsmWords(
        "答え",
        "[るたてらよま]",
        "次の算数の問題を順を追って解いてください。そのあと、最後の行に最終的な結果を整数で、"
        "うしろに何も付けずに「答え：<整数>」の形で書いてください。",
    ),
    "th": MgsmWords(
        "คำตอบ",
        "",
        "จงแก้โจทย์คณิตศาสตร์ข้อนี้ทีละขั้นตอน จากนั้นเขียนผลลัพธ์สุดท้ายเป็นจำนวนเต็มไว้ในบรรทัดสุดท้ายต่างหาก "
        'โดยไม่มีข้อความใดต่อท้าย ในรูปแบบ "คำตอบ: <จำนวนเต็ม>"',
    ),
    "sw": MgsmWords(
        "Jibu",
        _LETTER,
        "Tatua swali hili la hesabu hatua kwa hatua. Kisha andika tokeo la mwisho kama namba kamili kwenye mstari wa "
        'mwisho peke yake, bila kitu kingine baada yake, kwa muundo "Jibu: <namba kamili>".',
    ),
    "bn": MgsmWords(
        "উত্তর",
        "(?!ট[িা])[\u0980-\u09e3]",
        "এই গণিতের সমস্যাটি ধাপে ধাপে সমাধান করুন। তারপর চূড়ান্ত ফলাফলটি একটি পূর্ণসংখ্যা হিসেবে শেষে আলাদা একটি লাইনে লিখুন, "
        'তার পরে আর কিছু লিখবেন না। লেখার ধরন হবে "উত্তর: <পূর্ণসংখ্যা>"।',
    ),
    "te": MgsmWords(
        "సమాధానం",
        "[\u0c00-\u0c63]",
        "ఈ గణిత సమస్యను దశలవారీగా సాధించండి. ఆ తర్వాత తుది ఫలితాన్ని పూర్ణసంఖ్యగా చివరన విడిగా ఒక పంక్తిలో రాయండి, "
        'దాని తర్వాత ఇంకేమీ రాయకండి. రాయవలసిన రూపం "సమాధానం: <పూర్ణసంఖ్య>".',
    ),
}
"""In the order of `LANGUAGES` in mgsm_task."""

"""How models decline, in 13 languages."""

from __future__ import annotations

import re

# How a refusal begins, in lower case, with straight apostrophes. "I can't" alone is ordinary speech, so each wants an
# apology with "cannot", or "cannot" with what a model declines to do, or the model naming itself.
_REFUSALS = {
    "en": r"(?:i(?:'m| am) )?(?:so )?(?:sorry|i apologize)[,.]? (?:but )?i(?: can't| cannot| won't|(?:'m| am) unable)"
    r"|i (?:can't|cannot|won't|am unable to) (?:translate|assist|provide|fulfill|create|help (?:you )?with)"
    r"|as an ai(?: language)?(?: model| assistant|,)",
    "es": r"(?:lo siento|lo lamento|disculpa|disculpe|perdón)[,.]? (?:pero )?no (?:puedo|me es posible)"
    r"|no puedo (?:traducir|proporcionar|cumplir|crear|ayudar(?:te|le)? con)|como (?:una )?(?:ia|modelo de lenguaje)\b",
    "fr": r"(?:je suis )?(?:désolée?|navrée?)[,.]? (?:mais )?je ne (?:peux|puis)"
    r"|je ne (?:peux|puis) pas (?:traduire|fournir|créer|vous aider)|en tant (?:qu'ia|que modèle de langage)\b",
    "de": r"(?:es )?tut mir leid[,.]? (?:aber )?(?:ich|das|dabei) kann\b"
    r"|ich kann [^.!?\n]{0,40}(?:nicht|keinen?) (?:[^.!?\n]{0,30} )?(?:übersetzen|bereitstellen|erstellen)"
    r"|als (?:ki|sprachmodell)\b(?!-)",
    "it": r"(?:mi dispiace|mi scuso)[,.]? (?:ma )?non (?:posso|sono in grado)"
    r"|non posso (?:tradurre|fornire|creare|aiutarti con)|come (?:ia|modello linguistico)\b",
    "pt": r"(?:desculpe|sinto muito|lamento)[,.]? (?:mas )?(?:eu )?não (?:posso|consigo)"
    r"|(?:eu )?não posso (?:traduzir|fornecer|criar|ajudar com)|como (?:uma ia|um modelo de linguagem)\b",
    "ru": r"(?:извините|простите|к сожалению|мне жаль)[,.]? (?:но )?я не (?:могу|в состоянии)"
    r"|я не могу (?:перевести|предоставить|создать|выполнить|помочь вам с)|как (?:ии|языковая модель)\b",
    "zh": r"(?:很|非常)?(?:抱歉|对不起)[，,。 ]*(?:但是?)?我(?:无法|不能)|我(?:无法|不能)(?:翻译|提供|协助|创建)"
    r"|作为(?:一个|一名)?(?:ai|人工智能|语言模型)",
    "ja": r"申し訳(?:ありません|ございません)[^。\n]{0,40}(?:できません|できかねます)"
    r"|(?:この|その)[^。\n]{0,20}翻訳できません|(?:ai|言語モデル)として",
    "ko": r"(?:죄송|미안)[^.\n]{0,50}수 없습니다|[^.\n]{0,20}번역할 수 없습니다|(?:ai|언어 모델)(?:로서|으로서)",
    "ar": r"(?:عذرًا|عذرا|آسف|أنا آسف|أعتذر)[،, ]*(?:و?لكن(?:ني)? )?لا (?:أستطيع|يمكنني)"
    r"|لا (?:أستطيع|يمكنني) (?:ترجمة|تقديم|إنشاء)|بصفتي نموذج",
    "hi": r"(?:मुझे खेद है|क्षमा करें|माफ़ करें)[^।\n]{0,60}(?:नहीं कर सक|असमर्थ)|मैं [^।\n]{0,20}अनुवाद नहीं कर सक",
    "th": r"(?:ขออภัย|ขอโทษ)[^\n]{0,20}ไม่สามารถ|(?:ฉัน|ผม|ดิฉัน)ไม่สามารถ(?:แปล|ให้|สร้าง)|ในฐานะ(?:ที่เป็น)?(?:ai|โมเดลภาษา)",
}
_REFUSAL = re.compile("|".join(_REFUSALS.values()))


def is_refusal(text: str) -> bool:
    """Whether a text begins as a model that declines does, in one of 13 languages (not bn, sw, te and the rest).

    A translation that begins so is no refusal when its source does too: then the policy translated a refusal.

    >>> is_refusal("I'm sorry, but I can't translate this."), is_refusal("I can't see the sea from here.")
    (True, False)
    """
    opening = text[:300].lower().replace("’", "'").lstrip(" \t\r\n*_#>\"'«“「([")
    return _REFUSAL.match(opening) is not None

"""The words, of the eleven languages, that tell which number of a sentence is its answer.

They are signs of where to look and never needed: an answer without any is read by its last number. All languages count
in every text, since a model may answer in another language than it was asked in; words that mean something else in
another language stand under their own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_START = r"(?<![^\W\d_])"
_STOP = r"(?![^\W\d_])"


def _compiled(pattern: str) -> re.Pattern[str]:
    """In the form of a plain text, which is NFKC: Thai and Bengali have signs that it takes apart."""
    return re.compile(unicodedata.normalize("NFKC", pattern))


# What opens an explanation or a check, at the start of a line or sentence.
_ASIDE = (
    r"(?:(?:to|for|as a|a quick|quick|zur|para|pour|для|ili|let's|let us|hebu"
    r"|here(?:'s| is) the|here(?:'s| is)|aquí (?:está|tienes) (?:la|el)|voici (?:l'|la |le |les )"
    r"|hier ist (?:die|der)|вот) ?)?(?:explanation|here(?:'s| is) (?:why|how)|breakdown|calculation|step-by-step"
    r"|reasoning|working|justification|note|proof"
    r"|(?:double[- ])?check(?:ing)?|verif\w{1,8}|(?:how|why) so"
    r"|erklärung|begründung|erläuterung|(?:gegen|rechen)?probe|(?:über|nach)?prüf\w{1,6}|kontroll\w{1,6}|anmerkung|hinweis|rechnung|lösungsweg|rechenweg"
    r"|explicación|justificación|(?:lo )?(?:comprob|comprueb|verific)\w{1,9}|nota|prueba"
    r"|explication|justification|(?:on |nous )?vérifi\w{1,9}|remarque|preuve|raisonnement|détail(?: du calcul)?s?"
    r"|объяснение|пояснение|обоснование|провер\w{1,6}|примечание|доказательство|замечание"
    r"|maelezo|ufafanuzi|(?:u|ku|tu)?(?:hakik|thibit)\w{1,9}|ukaguzi|dokezo)"
)
_PURPOSE = _compiled(
    r"(?i:let's|to (?:find|solve|determine|calculate|figure|answer)|we (?:need|want|have) to"
    r"|um (?:zu|die|das|den|heraus)|wir müssen|para (?:calcular|encontrar|saber|resolver|determinar|hallar)|vamos a"
    r"|pour (?:calculer|trouver|savoir|résoudre|déterminer)|nous devons|чтобы|давайте|нам нужно"
    r"|ili ku|tunahitaji|hebu)|为了|我们需要|让我们|求める(?:には|ため)|まず|เพื่อ|เรามา|আমরা|চলুন|మనం|కనుగొన"
)
_ASIDE_UNSPACED = (
    "(?:以下是|下面是|นี่คือ|เพื่อ(?:การ)?|为了)?(?:解释|解釋|说明|說明|验证|驗證|检验|檢驗|验算|驗算|检查|检查一下"
    "|理由|证明|备注|注意|注|解析|分析|推理过程|计算过程|过程"
    "|説明|解説|検算|確認|検証|確かめ|補足|備考|根拠|考え方|計算過程|内訳"
    "|คำอธิบาย|อธิบาย|ตรวจสอบ|ตรวจคำตอบ|การตรวจสอบ|พิสูจน์|หมายเหตุ|เหตุผล|วิธีคิด|วิธีทำ"
    "|ব্যাখ্যা|যাচাই(?:করণ)?|পরীক্ষা|প্রমাণ|কারণ|দ্রষ্টব্য|টীকা|যুক্তি"
    "|వివరణ|తనిఖీ|సరిచూ[^\\s:.=]{1,12}|ధృవీకరణ|నిరూపణ|గమనిక|కారణం|రుజువు|పరిశీలన)"
)
_OFFER = (
    r"let me know|feel free|if you(?:'d| would) like|if you (?:want|need)(?: me| to| help| more| another)|just ask"
    r"|(?:wenn|falls) (?:du|sie) (?:möchte\w{0,2}|willst|wollen|noch|weitere|magst)|lass(?:en sie)? (?:es )?mich wissen"
    r"|si (?:quieres|quiere|deseas|desea|necesitas|te gustaría)|avísame|no dudes en"
    r"|si (?:vous|tu) (?:voulez|souhaitez|désirez|veux|souhaites|as besoin|avez besoin)|n'hésite[sz]? pas|dis-moi"
    r"|если (?:хотите|хочешь|нужно|нужна|понадобится|желаете)|дай(?:те)? знать"
    r"|ukitaka|ukihitaji|kama (?:unataka|ungependa|unahitaji)|nijulishe"
)
_OFFER_UNSPACED = (
    "如果(?:你|您)(?:还|想|需|要|愿|有)|如需|需要我|(?:もし)?(?:よろしければ|必要でしたら|必要であれば|ご希望)"
    "|(?:หาก|ถ้า)(?:คุณ)?(?:ต้องการ|อยาก)|(?:আপনি )?(?:চাইলে|যদি চান)|(?:প্রয়োজন|দরকার) হলে"
    "|(?:మీకు )?(?:కావాలంటే|అవసరమైతే)|మీరు కోరుకుంటే"
)
ASIDE = _compiled(
    rf"(?:^|(?<=[\n.!?。！？।॥)\x1f]))[\s>#*_(\x1f-]{{0,8}}"
    rf"(?:(?i:(?:{_ASIDE}){_STOP})[^\n:.。=]{{0,25}}?[\x1f ]{{0,3}}(?:[:\n\x1f])"
    rf"|(?:{_ASIDE_UNSPACED})[^\n:.。।=]{{0,12}}?[\x1f ]{{0,3}}(?:[:\n\x1f])"
    r"|(?i:to (?:check|verify)|let(?:'|)s (?:check|verify|double[- ]check)|note that|we can (?:check|verify)"
    r"|(?:this|that|it)(?:'s| is) because|alternatively|another way|esto (?:es porque|se debe)|otra (?:forma|manera)"
    r"|c'est parce que|cela s'explique|une autre (?:méthode|façon)|das liegt daran|anders gerechnet|alternativ"
    rf"|это потому|другой способ|иначе говоря|autrement dit|hii ni kwa sababu|njia nyingine){_STOP}"
    rf"|(?i:{_OFFER}){_STOP}|{_OFFER_UNSPACED}"
    "|这是因为|另一种|ทั้งนี้เพราะ|এর কারণ|এটি কারণ|ఇది ఎందుకంటే)"
    "|(?<= )(?:หาก|ถ้า)(?:คุณ)?(?:ต้องการ|อยาก)|(?<= )ต้องการให้"
)
"""The start of an explanation, a check, a note or an offer: its heading with a colon, or alone in its line."""


def sets_out(before: str) -> bool:
    """Whether the words before an explanation say what is asked, and not what the answer is."""
    return before.rstrip(" \n\x1f").endswith(("?", "？")) or _PURPOSE.search(before[-200:]) is not None


BECAUSE = _compiled(
    rf"{_START}(?i:because|since|given that|denn|weil|da sie|da er|car|puisque|parce que|porque|ya que|dado que"
    rf"|так как|потому что|поскольку|kwa sababu|kwa kuwa){_STOP}"
    "|因为|因為|由于|なぜなら|เพราะ|เนื่องจาก|কারণ|যেহেতু|ఎందుకంటే"
)
"""What leads from an answer to its reason, within a sentence."""

STATED = _compiled(
    r"(?i:(?:answer|result|solution)(?: to [^.:\n\d]{1,60})? (?:is|would be|will be|equals|=)"
    r"|final answer\x1f?:|respuesta (?:correcta |final )?es|réponse (?:correcte |finale )?est"
    r"|(?:antwort|ergebnis|lösung) (?:lautet|ist|beträgt)|ответ (?:—|-|равен|будет|это)|jibu (?:sahihi |la mwisho )?ni"
    r"|<answer>)"
    r"|(?i:"
    rf"{_START}(?:results?|endergebnis|ergebnis|gesamtergebnis|resultado|résultat|результат|итог|итого|matokeo|tokeo)"
    r"(?: final| finale?| la mwisho)?[ \x1f]{0,2}:)"
    r"|(?:结果|結果|最终结果|結論|结论|ผลลัพธ์|ผลรวม|ফলাফল|ফল|ఫలితం|తుది ఫలితం)[ \x1f]{0,2}(?:[:]|是|为|は|คือ|হল|হলো)"
    rf"|{_START}(?:Jumla|JUMLA|Total)[ \x1f]{{0,2}}(?=\d)"
    r"|(?:^|\n)[ \x1f]{0,3}#{4} (?=[\x1e\x1f -]{0,3}\d[\d,. ]{0,15}\s{0,3}\Z)"  # GSM8K
)
"""What states the answer in a text without the answer word."""

CONCLUDES = _compiled(
    rf"{_START}(?i:so|thus|hence|therefore|total(?:ling|s)?|altogether|in all|overall|(?<=, )also|(?-i:Also)|somit"
    r"|daher|folglich|insgesamt|damit|así que|por (?:lo )?tanto|entonces|en total"
    r"|donc|ainsi|au total|поэтому|значит|итого|всего|следовательно"
    rf"|kwa hi[yv]o|hivyo|jumla|kwa jumla){_STOP}"
    "|所以|因此|一共|总共|共|したがって|よって|合計|だから|ดังนั้น|รวม|সুতরাং|অতএব|তাই|মোট"
    "|కాబట్టి|అందువల్ల|మొత్తం"
)

ROUNDED = _compiled(
    rf"(?:{_START}(?i:rounds?|rounded|rounding|gerundet|aufgerundet|abgerundet|redonde\w{{1,4}}|arrondi\w{{0,3}}"
    r"|округл\w{1,6})"
    "|四舍五入|切り上げ|切り捨て|ปัด|পূর্ণ|kukadiria)[^.\\d]{0,25}\\Z"
)
"""What leads from a result to the whole number that it is rounded to."""

_MONEY = (
    r"(?i:dollars?|bucks|euros?|pounds?|rupees?|dólar(?:es)?|pesos?|доллар\w{0,3}|руб(?:л\w{0,3})?|евро)(?![^\W\d_])"
    "|美元|美金|元|块钱|円|ドル|ユーロ|ดอลลาร์|บาท|เหรียญ|ডলার|টাকা|రూపాయ|డాలర్"
)
MONEY_BEHIND = _compiled(rf"[\s\x1f-]{{0,3}}(?:\x1e|US[ \x1f]?\x1e|(?:{_MONEY}))")
MONEY_BEFORE = _compiled(
    rf"(?:\x1e[\s-]{{0,2}}|{_START}(?i:dola|shilingi|ksh|tsh|usd|eur|rs)\.?(?: za Marekani)?[\s\x1f]{{0,2}})\Z"
)

_LEFT = (
    r"left|remain\w{0,5}|übrig|bleib\w{1,3}|queda\w{0,2}|sobra\w{0,2}|reste\w{0,3}|остал\w{1,3}|остан\w{1,4}"
    r"|\w{0,8}baki\w{0,4}"
)
CLOSES = _compiled(rf"{_START}(?i:{_LEFT}){_STOP}|剩|残|เหลือ|বাকি|మిగిల|{CONCLUDES.pattern}|\x1f")
"""What a sentence has that closes an answer: it concludes, says what is left, or is bold."""

HYPOTHETICAL = _compiled(
    r"[\s\x1f]*(?:(?i:if|wenn|falls|si|s'ils?|если|kama|(?:a|wa|i|zi|u)ki\w{2,12})\b[^.!?\n]{0,60}?"
    r"\b(?i:another|more|extra|noch|weitere\w?|más|otr[oa]s?|encore|de plus|autres?|ещё|еще|vingine|nyingine|wengine"
    r"|zaidi)\b"
    "|(?:如果|若|假如|要是)[^。]{0,30}?(?:再|又|另)|(?:もし|あと|さらに)[^。]{0,30}?(?:ば|たら|なら)"
    "|(?:ถ้า|หาก)[^\n]{0,40}?(?:อีก|เพิ่ม)|(?:যদি |সে )?আর[ওো] [^।\n]{0,30}?লে(?![\u0980-\u09e3])"
    "|(?:ఒకవేళ |ఇంకో|మరో|ఇంకా)[^.\n]{0,40}?(?:ంటే|ితే))"
)
"""A sentence about what would be if there were more: behind an answer it is none."""

SUBORDINATE = _compiled(
    rf"{_START}(?i:after|before|when|if|by \w{{2,14}}ing|to (?:buy|reach|get|pay for|afford|make|fill|finish)"
    r"|that (?:costs?|has|have|is|are|was|were)|which (?:costs?|is read|he|she|they)"
    r"|después de|tras|cuando|para (?:comprar|llegar|pagar)|que cuestan?"
    r"|après|quand|lorsque|pour (?:acheter|payer|atteindre)|qui coûtent?"
    r"|nachdem|wenn|um (?=[^.,\n\d]{1,60}\d[^.,\n]{0,40}\bzu\b)"
    rf"|после того|когда|если|чтобы|baada ya|wakati|atakapo\w{{2,9}}|alipo\w{{2,9}}|ili ku\w{{2,12}}"
    rf"|ambayo inagharimu){_STOP}"
    "|หลังจาก|เมื่อ|เพื่อซื้อ|[,，] ?(?:那时|当时|届时)"
    rf"|{_START}(?i:of which|of these|including|consisting of|made up of|davon|darunter|bestehend aus|de l[oa]s cuales"
    rf"|incluid[oa]s?|dont|из (?:них|которых)|включая|в том числе|kati ya hizo|ikiwemo|zikiwemo){_STOP}"
    "|其中|包括|(?<=、)(?:その)?うち|内訳|โดยเป็น|ประกอบด้วย|แบ่งเป็น|ซึ่งเป็น|(?:যার|এর|তার) মধ্যে(?= ?\\d)|వాటిలో|అందులో|ఇందులో"
)
"""What begins, behind the number that a sentence is about, a clause on something else: 5 dollars after she got 45, or
on its parts: 3 rolls, of which 2 are blue."""

# Words before a number that tells when, for how many or out of what.
_LEADS = {
    "en": "in|after|for|from|with|per|over|within|during|at|of|than|by|on|every|each|among|between|into|across|using"
    "|because|to|since|under|day|week|month|year|step|the|those|these|his|her|their|its|all",
    "de": "in|nach|für|aus|mit|pro|bei|über|während|von|als|je|an|auf|durch|unter|denn|weil|zu|bis|die|den|der"
    "|seinen?|ihren?",
    "es": "en|de|después de|tras|por|durante|con|entre|que|cada|para|desde|hace|a|los|las|sus",
    "fr": "en|après|pour|par|pendant|avec|dans|sur|que|chaque|à|durant|de|car|les|ses|ces",
    "ru": "за|через|после|в|на|из|с|со|чем|для|от|кажд\\w{2,3}|к|у|их|потому что",
    "sw": "kwa|baada ya|katika|kwenye|ndani ya|kutoka|kati ya|kila|kwa sababu|na|zenye|wenye|kuliko",
    "th": "ใน|หลังจาก|จาก|ต่อ|ภายใน|สำหรับ|ตลอด|กับ|อีก|โดย|เพราะ|ทุก|ของ",
    "zh": "用了|在|从|由|每|过了|因为|分装在|分布在",
    "ja": "毎|なぜなら",
    "bn": "প্রতি|কারণ",
    "te": "ప్రతి|ఎందుకంటే|ఎందుకనగా",
}
AFTERWARDS = _compiled(
    r"[^\s\d,，。、]{0,4}(?:后|之后|以后|後|後に|以内|内に|間で(?!す|した)|間に|のうち)|ปีต่อมา"
    "| ?(?:টি )?[^\\s\\d।,]{0,8} (?:পরে|পর|মধ্যে)(?![\u0980-\u09e3])"
    "| [^\\s\\d.,]{0,16} (?:తర్వాత|లోపు)| [^\\s\\d.,]{0,14}ల్లో(?![\u0c00-\u0c63])"
    "| (?:years?|days?|hours?|weeks?|months?) (?:later|from now)"
)
"""What makes a number that opens a sentence the time after which something is: 3年後, 3 సంవత్సరాల తర్వాత."""
_FOLLOWS = {
    "zh": "天|年|小时|周|个月",
    "ja": r"[^\s\d、。]{0,6}(?:で(?!す|した)|後|間に|から|のうち|ごとに|分(?!です|かか))|時(?!間)",
    "bn": r"[^\s\d।,]{0,12} ?(?:পরে|পর|মধ্যে|জন্য|এ\b|থেকে|করে)|[^\s\d।,]{1,12}(?:নে|রে|য়|টায়)(?![\u0980-\u09e3])",
    "te": r"\s?[^\s\d.,]{0,14}(?:ల్లో|లో|లకు|కు|కి|నుండి|చొప్పున)(?![\u0c00-\u0c63])"
    "|[^\\d.,]{0,16} (?:తర్వాత|నుండి|కోసం)",
}
_LINKS = (
    r"is|are|was|be|would|will|equals?|a|final|correct|about|approximately|exactly|total|of|that|it|so|therefore|to"
    r"|ist|lautet|beträgt|sind|wäre|also|genau|etwa|ungefähr|insgesamt|es|son|sería|un total de|en total"
    r"|aproximadamente"
    r"|correcta|est|sont|donc|finale?|environ|это|равен|равно|равна|составляет|будет|окончательный"
    r"|ni|mwisho|sahihi|takriban|jumla|dola|shilingi|hiyo|kuwa|mita|kilomita|x|y|n"
)
_LINKS_UNSPACED = (
    "就是|是|为|為|等于|等於|应该|应为|约|大约|一共|总共|共|有|需要|了|は|が|、|です|約|合計|で"
    "|คือ|เท่ากับ|เป็น|ประมาณ|สุดท้าย|ทั้งหมด|จำนวน|ที่ถูกต้อง|ว่า"
    "|হল|হলো|হবে|হচ্ছে|টি|টা|মোট|প্রায়|হয়|ఏమిటంటే|మొత్తం|సుమారు|అవుతుంది"
)
HEAD = _compiled(
    rf"(?:[\s\x1e\x1f:=*_(\[|<>~≈—–,.\"'«»#-]|{_START}(?i:{_LINKS}){_STOP}|{_LINKS_UNSPACED}"
    r"|[A-Z]{2,3}(?=[\s\x1e]))*\Z"
)
"""What may stand between an answer word and the number that it opens."""
SWAHILI_NOUN = _compiled(r"[\s\x1f:*_-]{0,6}(?:ni )?(?!(?i:baada|kwa|katika|kila|kati)\b)[^\W\d_]{2,15}[ \x1f]{1,2}\Z")

MINUS = _compiled(
    rf"{_START}(?i:(?:minus|negative|moins|menos|минус|hasi|kasoro))[ \x1f]{{1,2}}\Z"
    r"|(?:ลบ|মাইনাস|ঋণাত্মক|మైనస్|负|負|マイナス)[ \x1f]?\Z"
)


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _set_of(
    "the is are of and to has have she he they each per for answer so total with there makes earns costs cost will"
    " therefore dollars was were piece how many it its"
)
_OWN = {
    "de": _set_of(
        "der die das ist und ein eine er sie nicht mit zu pro also insgesamt von den dem beträgt wiegt jede jedes jeder"
        " hat antwort kostet sind es"
    ),
    "es": _set_of("el la los las es de un una y en que por con cada tiene son respuesta cuesta pesa"),
    "fr": _set_of("le la les est et un une des du que pour avec il elle chaque réponse sont coûte pèse de"),
}
_POINT_IS_DECIMAL = frozenset(("en", "zh", "ja", "th", "sw", "bn", "te"))
_WORD = _compiled(r"[^\W\d_]+")
_ENOUGH = 400  # words that tell a language


def writes_decimal_points(text: str, language: str) -> bool:
    """Whether a point before three digits is a decimal one: of the answer's own language, which may not be the asked.

    >>> writes_decimal_points("Each piece is 3.125 kg.", "de"), writes_decimal_points("Es sind 3.125 Stück.", "de")
    (True, False)
    """
    words = [match[0].lower() for match, _ in zip(_WORD.finditer(text), range(_ENOUGH), strict=False)]
    english = sum(word in _ENGLISH for word in words)
    others = {code: sum(word in own for word in words) for code, own in _OWN.items()}
    if language in _POINT_IS_DECIMAL:
        return max(others.values()) <= max(english, 1)
    own = others.get(language)
    if own is None:
        own = sum(not word.isascii() for word in words)
    return english > own


_ARTICLE = "(?:(?:the|those|these|all|his|her|their|den|die|der|seine|ihre|los|las|sus|les|ses|ces|its|only|just) )?"


@lru_cache(maxsize=64)
def leads_aside(language: str) -> re.Pattern[str]:
    """What a number stands behind that says when, for how many or out of what: own words and English ones."""
    forms = []
    for code in dict.fromkeys((language, "en")):
        words = _LEADS.get(code)
        if words is None:
            continue
        noun = r"(?:[^\W\d_]{2,14}[ \x1f])?" if code == "sw" else ""
        if code in ("th", "zh", "ja"):
            noun = "[\u0e00-\u0e7f]{0,10}" if code == "th" else ""
            forms.append(rf"(?:{words}){noun}[\s\x1f]{{0,2}}\Z")
        else:
            forms.append(rf"{_START}(?i:{words})[\s\x1f]{{1,2}}{_ARTICLE}{noun}[\x1e\x1f]{{0,2}}\Z")
    return _compiled("|".join(forms))


@lru_cache(maxsize=64)
def follows_aside(language: str) -> re.Pattern[str] | None:
    """The same behind the number, where a language says it there: 7日で, ৩ বছর পরে."""
    form = _FOLLOWS.get(language)
    return _compiled(form) if form else None

"""How translation models call the languages of our table: the token that says what a text is in, or is wanted in.

    family                     token            code
    M2M100                     __fr__           ISO 639-1
    NLLB-200                   fra_Latn         ISO 639-3 and the script, as FLORES-200 writes them
    mBART-50                   fr_XX            ISO 639-1 and a region
    MADLAD-400 (a T5)          <2fr>            ISO 639-1; stands before the source text
    Marian with many targets   >>fra<<          ISO 639-3; stands before the source text

Codes of NLLB: the language list of facebook/nllb-200; of mBART-50: of facebook/mbart-large-50-many-to-many-mmt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lidr.errors import EngineError
from lidr.languages import LANGUAGES

_NLLB = (
    "ar arb_Arab, bg bul_Cyrl, bn ben_Beng, ca cat_Latn, cs ces_Latn, da dan_Latn, de deu_Latn, el ell_Grek, "
    "en eng_Latn, es spa_Latn, eu eus_Latn, fa pes_Arab, fi fin_Latn, fr fra_Latn, he heb_Hebr, hi hin_Deva, "
    "hu hun_Latn, id ind_Latn, it ita_Latn, ja jpn_Jpan, ko kor_Hang, nb nob_Latn, nl nld_Latn, pl pol_Latn, "
    "pt por_Latn, ro ron_Latn, ru rus_Cyrl, sv swe_Latn, sw swh_Latn, ta tam_Taml, te tel_Telu, th tha_Thai, "
    "tr tur_Latn, uk ukr_Cyrl, ur urd_Arab, vi vie_Latn, yo yor_Latn, zh zho_Hans"
)
_MBART = (
    "ar ar_AR, bn bn_IN, cs cs_CZ, de de_DE, en en_XX, es es_XX, fa fa_IR, fi fi_FI, fr fr_XX, he he_IL, hi hi_IN, "
    "id id_ID, it it_IT, ja ja_XX, ko ko_KR, nl nl_XX, pl pl_PL, pt pt_XX, ro ro_RO, ru ru_RU, sv sv_SE, sw sw_KE, "
    "ta ta_IN, te te_IN, th th_TH, tr tr_TR, uk uk_UA, ur ur_PK, vi vi_VN, zh zh_CN"
)


def _table(text: str) -> dict[str, str]:
    return dict(entry.split() for entry in text.split(", "))


NLLB: Mapping[str, str] = _table(_NLLB)
MBART: Mapping[str, str] = _table(_MBART)
ISO3: Mapping[str, str] = {code: flores[:3] for code, flores in NLLB.items()}
ISO1: Mapping[str, str] = {code: code for code in LANGUAGES} | {"nb": "no"}


@dataclass(frozen=True)
class Family:
    """How one family of models is told the languages.

    Args:
        token: the vocabulary's token of a language, from its code.
        codes: our code -> the family's.
        tells: `decoder`: the target's token begins what is generated, and the tokenizer puts the source's; `text`: the
            target's token begins the source text, and the source needs none.
    """

    name: str
    token: str
    codes: Mapping[str, str]
    tells: Literal["decoder", "text"]


FAMILIES = (
    Family("M2M100", "__{}__", ISO1, "decoder"),
    Family("NLLB", "{}", NLLB, "decoder"),
    Family("mBART-50", "{}", MBART, "decoder"),
    Family("MADLAD-400", "<2{}>", ISO1, "text"),
    Family("Marian", ">>{}<<", ISO3, "text"),
)


@dataclass(frozen=True)
class LanguageTokens:
    """The languages of one model."""

    family: Family
    model: str
    id_of: Callable[[str], int | None]
    own: Mapping[str, str]

    def code(self, language: str) -> str:
        """The model's code of a language of our table.

        Raises:
            EngineError: the model does not know it under that code.
        """
        code = self.own.get(language) or self.family.codes.get(language, language)
        token = self.family.token.format(code)
        if self.id_of(token) is None:
            raise EngineError(
                f"{self.model} has no token {token!r} for {LANGUAGES[language].name}; where it calls the language "
                f"otherwise, write translate.by.codes: {{{language}: ITS_CODE}}"
            )
        return code

    def token(self, language: str) -> str:
        """The token itself, `__fr__`."""
        return self.family.token.format(self.code(language))

    def token_id(self, language: str) -> int:
        """Its id."""
        found = self.id_of(self.token(language))
        assert found is not None
        return found


def language_tokens(tokenizer: Any, *, model: str, own: Mapping[str, str]) -> LanguageTokens:
    """Find a model's family by the tokens of its vocabulary.

    Args:
        tokenizer: of transformers.
        model: its name in messages.
        own: our codes and the model's, where the recipe names them.

    Raises:
        EngineError: no family's tokens are there.
    """

    def id_of(token: str) -> int | None:
        found = tokenizer.convert_tokens_to_ids(token)
        return None if found is None or found == tokenizer.unk_token_id else int(found)

    for family in FAMILIES:
        codes = {**family.codes, **own}
        if sum(id_of(family.token.format(code)) is not None for code in codes.values()) >= 2:
            return LanguageTokens(family, model, id_of, own)
    known = ", ".join(f"{family.name} ({family.token.format(family.codes['fr'])})" for family in FAMILIES)
    raise EngineError(
        f"{model} has no language tokens, so it cannot be told what to translate into; lidr knows those of {known}. A "
        "model of one direction (Marian en-fr) cannot do both: give one of many languages"
    )

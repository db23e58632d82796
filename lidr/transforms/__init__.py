"""Pure functions on columns: no files, no clock, no model. The paper's method is in `pairs`.

In: columns of prompts, responses, translations, pairs. Out: columns, and for each row left out the reason.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.transforms.bias import prompt_kind, selection_bias, units_of_slots
    from lidr.transforms.contamination import Contamination, Questions, report
    from lidr.transforms.filters import NgramLimit, PairFilter, ngram_share, repeated_line
    from lidr.transforms.language_bound import Rule, count_hits, detect, policy_of
    from lidr.transforms.language_gap import Number, agreement, by_lot, chrf, family, kept_share, mean, rise, share
    from lidr.transforms.language_id import identify, language_of
    from lidr.transforms.minhash import PERMUTATIONS, near_duplicates, signatures, similarity
    from lidr.transforms.pairs import PairResult, PairRules, build_pairs, reasons_of
    from lidr.transforms.parallel_prompts import (
        DROP_REASONS,
        LANGUAGE_INSTRUCTION,
        instruct,
        read_prompts,
        select_prompts,
    )
    from lidr.transforms.plain_translations import has_words, read_untagged, read_whole, split_lines
    from lidr.transforms.rater_agreement import alpha, different, kappa, squared, with_interval
    from lidr.transforms.text_shingles import mix, normal, shingles, whole
    from lidr.transforms.translations import (
        PREFILL,
        Attempt,
        Parsed,
        parse_paragraphs,
        parse_translation,
        retry_plan,
        split_paragraphs,
        translation_messages,
    )

__all__ = [
    "DROP_REASONS",
    "LANGUAGE_INSTRUCTION",
    "PERMUTATIONS",
    "PREFILL",
    "Attempt",
    "Contamination",
    "NgramLimit",
    "Number",
    "PairFilter",
    "PairResult",
    "PairRules",
    "Parsed",
    "Questions",
    "Rule",
    "agreement",
    "alpha",
    "build_pairs",
    "by_lot",
    "chrf",
    "count_hits",
    "detect",
    "different",
    "family",
    "has_words",
    "identify",
    "instruct",
    "kappa",
    "kept_share",
    "language_of",
    "mean",
    "mix",
    "near_duplicates",
    "ngram_share",
    "normal",
    "parse_paragraphs",
    "parse_translation",
    "policy_of",
    "prompt_kind",
    "read_prompts",
    "read_untagged",
    "read_whole",
    "reasons_of",
    "repeated_line",
    "report",
    "retry_plan",
    "rise",
    "select_prompts",
    "selection_bias",
    "share",
    "shingles",
    "signatures",
    "similarity",
    "split_lines",
    "split_paragraphs",
    "squared",
    "translation_messages",
    "units_of_slots",
    "whole",
    "with_interval",
]
__getattr__ = lazily(__name__)

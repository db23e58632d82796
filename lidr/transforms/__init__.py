"""Pure functions on columns: no files, no clock, no model. The paper's method is in `pairs`.

In: columns of prompts, responses, translations, pairs. Out: columns, and for each row left out the reason.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.transforms.against_source import LENGTHS
    from lidr.transforms.bias import prompt_kind, selection_bias, units_of_sampled, units_of_slots
    from lidr.transforms.contamination import Contamination, Questions, report
    from lidr.transforms.filters import (
        NgramLimit,
        PairFilter,
        Repeats,
        SourceFacts,
        ngram_share,
        repeated_line,
        source_facts,
    )
    from lidr.transforms.language_bound import Rule, count_hits, detect, policy_of
    from lidr.transforms.language_gap import Number, agreement, by_lot, chrf, family, kept_share, mean, rise, share
    from lidr.transforms.language_id import identify, language_of
    from lidr.transforms.minhash import PERMUTATIONS, near_duplicates, signatures, similarity
    from lidr.transforms.pairs import PairResult, PairRules, build_pairs, reasons_of, translated_answers
    from lidr.transforms.parallel_prompts import (
        DROP_REASONS,
        LANGUAGE_INSTRUCTION,
        UNTRANSLATED,
        as_sampled,
        instruct,
        select_prompts,
        with_translations,
    )
    from lidr.transforms.plain_translations import (
        has_words,
        read_given,
        read_lines,
        read_untagged,
        read_whole,
        split_lines,
    )
    from lidr.transforms.rater_agreement import alpha, different, kappa, squared, with_interval
    from lidr.transforms.sampled_pairs import (
        SampledResult,
        SampledRules,
        build_sampled_pairs,
        margin_weights,
        sampled_reasons,
    )
    from lidr.transforms.text_shingles import mix, normal, shingles, whole
    from lidr.transforms.translations import (
        PREFILL,
        Attempt,
        Parsed,
        Unchecked,
        checked,
        parse_paragraphs,
        parse_translation,
        read_paragraphs,
        retry_plan,
        split_paragraphs,
        translation_messages,
    )

__all__ = [
    "DROP_REASONS",
    "LANGUAGE_INSTRUCTION",
    "LENGTHS",
    "PERMUTATIONS",
    "PREFILL",
    "UNTRANSLATED",
    "Attempt",
    "Contamination",
    "NgramLimit",
    "Number",
    "PairFilter",
    "PairResult",
    "PairRules",
    "Parsed",
    "Questions",
    "Repeats",
    "Rule",
    "SampledResult",
    "SampledRules",
    "SourceFacts",
    "Unchecked",
    "agreement",
    "alpha",
    "as_sampled",
    "build_pairs",
    "build_sampled_pairs",
    "by_lot",
    "checked",
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
    "margin_weights",
    "mean",
    "mix",
    "near_duplicates",
    "ngram_share",
    "normal",
    "parse_paragraphs",
    "parse_translation",
    "policy_of",
    "prompt_kind",
    "read_given",
    "read_lines",
    "read_paragraphs",
    "read_untagged",
    "read_whole",
    "reasons_of",
    "repeated_line",
    "report",
    "retry_plan",
    "rise",
    "sampled_reasons",
    "select_prompts",
    "selection_bias",
    "share",
    "shingles",
    "signatures",
    "similarity",
    "source_facts",
    "split_lines",
    "split_paragraphs",
    "squared",
    "translated_answers",
    "translation_messages",
    "units_of_sampled",
    "units_of_slots",
    "whole",
    "with_interval",
    "with_translations",
]
__getattr__ = lazily(__name__)

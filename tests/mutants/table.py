"""What is changed, and which tests are to notice.

The tests are those of the module and, where they do not take long, of who calls it. A mutant is tried against them in
this order until one fails, so the fast ones come first; none of them needs real data.
"""

from __future__ import annotations

from typing import NamedTuple

SEED = 20261129


class Module(NamedTuple):
    """The tests that are to notice changes of a module, and how many changes are drawn."""

    tests: tuple[str, ...]
    draws: int = 10


_STORE = ("tests/store/test_store.py", "tests/store/test_integrity.py")
_INDEX = ("tests/store/test_known_records.py", "tests/store/test_integrity.py")
_PINS = ("tests/hub/test_pins.py",)
_STAGED = ("tests/release/test_staging.py",)
_BESIDE = "tests/release/beside/test_beside_others.py"
_LONG = "many_publishes or ten_writers or killed_at_any_moment or (one_fault and not tag and not commit)"
_LOADED = "only_loading_shows or could_not_be_loaded_before or hub_that_is_busy or without_the_manifest"
_PUBLISH = ("tests/release/test_publish_staged.py", _BESIDE, f"-k=(publish_staged and not ({_LONG})) or {_LOADED}")
_RELEASE = (
    "tests/release/test_release_order.py",
    "tests/release/test_make_release.py",
    "-k=test_release_order or nothing_to_publish or names_that",
)
_AGAINST_SOURCE = "tests/transforms/against_source/"
_FILTERS = ("tests/transforms/test_filters.py", f"{_AGAINST_SOURCE}test_length_bounds.py", "-k=not megabyte")
_LANGUAGES = (
    "tests/transforms/test_letters_and_detectors.py",
    "tests/transforms/test_language_table.py",
    "tests/transforms/test_language_id.py",
    "tests/transforms/test_language_of_others.py",
    "tests/transforms/test_language_of_short_answers.py",
    "-k=not (million or megabyte)",
)
_QUICK = "-k=not (cover or does_not_lie or ten_thousand or memory or bootstraps or no_interval_of_a_closed)"
_OF_NUMBERS = (
    *("which_number", "passages", "answer_tables", "answers_of_others"),
    *("number_reading", "spelled_numbers", "mgsm_gold", "mgsm_task"),
)
_NUMBERS = (
    *(f"tests/evals/mgsm/test_{name}.py" for name in _OF_NUMBERS),
    "-k=not (million or generated or last_number or no_time or lm_eval)",
)
_TRANSLATIONS = ("tests/transforms/test_translations.py", "-k=not (ten_times or megabyte or hundred_thousand)")

_SCORED = ("tests/steps/test_score.py",)
_CHEAP_SCORERS = ("gold", "language", "consistency", "majority")
_MODEL_SCORERS = ("latent", "reward_model", "judge", "mt_quality")
_MODELS = ("tests/steps/test_model_scorers.py",)

MODULES: dict[str, Module] = {
    "lidr/transforms/pairs.py": Module(("lidr/transforms/pairs.py", "tests/transforms/test_pairs.py"), 16),
    "lidr/train/loss.py": Module(("lidr/train/loss.py", "tests/train/test_loss.py"), 14),
    "lidr/transforms/sampled_pairs.py": Module(
        ("lidr/transforms/sampled_pairs.py", "tests/transforms/test_sampled_pairs.py"), 16
    ),
    "lidr/steps/measure/scorer_accuracy.py": Module(
        ("lidr/steps/measure/scorer_accuracy.py", "tests/steps/test_measure_scorers.py", "-k=scorer_accuracy or gold")
    ),
    **{f"lidr/steps/score/scorers/{name}_scorer.py": Module(_SCORED) for name in _CHEAP_SCORERS},
    **{f"lidr/steps/score/scorers/{name}_scorer.py": Module(_MODELS) for name in _MODEL_SCORERS},
    "lidr/steps/score/classifier.py": Module(_MODELS),
    "lidr/steps/score/scorers/implicit_scorer.py": Module(("tests/test_sampled_runs.py",)),
    "lidr/store/artifact.py": Module(_STORE, 16),
    "lidr/store/digests.py": Module(("tests/store/test_digests.py", "tests/store/test_integrity.py")),
    "lidr/store/fingerprints.py": Module(("lidr/store/fingerprints.py", "tests/store/test_fingerprints.py"), 12),
    "lidr/store/index_file.py": Module(("tests/store/test_digests.py", *_INDEX)),
    "lidr/store/journal.py": Module(("tests/store/test_flushing.py", "tests/store/test_journal.py")),
    "lidr/store/known_records.py": Module(_INDEX),
    "lidr/store/recipe_lock.py": Module(("tests/store/test_recipe_lock.py", "tests/store/test_record.py")),
    "lidr/store/record.py": Module(("tests/store/test_flushing.py", "tests/store/test_record.py", *_STORE), 12),
    "lidr/store/row_digests.py": Module(("tests/store/test_digests.py",)),
    "lidr/store/rules.py": Module(("lidr/store/rules.py", "tests/store/test_rules.py")),
    "lidr/store/run_locations.py": Module(("tests/store/test_run_locations.py",)),
    "lidr/store/sealed_json.py": Module(("tests/store/test_flushing.py", *_STORE)),
    "lidr/store/server_identity.py": Module(("tests/store/test_addresses.py",)),
    "lidr/store/store.py": Module(_STORE, 16),
    "lidr/hub/pins.py": Module(_PINS, 12),
    "lidr/hub/pin_changes.py": Module(_PINS, 12),
    "lidr/drawing.py": Module(("lidr/drawing.py", "tests/test_drawing.py"), 12),
    "lidr/release/staging.py": Module(_STAGED, 12),
    "lidr/release/publish_staged.py": Module(_PUBLISH),
    "lidr/release/make_release.py": Module(_RELEASE),
    "lidr/transforms/translations.py": Module(("lidr/transforms/translations.py", *_TRANSLATIONS), 12),
    "lidr/transforms/against_source/copies.py": Module((f"{_AGAINST_SOURCE}test_copies.py", *_TRANSLATIONS)),
    "lidr/transforms/against_source/leftovers.py": Module((f"{_AGAINST_SOURCE}test_leftovers.py",)),
    "lidr/transforms/against_source/length_bounds.py": Module((f"{_AGAINST_SOURCE}test_length_bounds.py",)),
    "lidr/transforms/filters.py": Module(("lidr/transforms/filters.py", *_FILTERS), 12),
    "lidr/transforms/language_id.py": Module(("lidr/transforms/language_id.py", *_LANGUAGES)),
    "lidr/transforms/detection/decide_language.py": Module(
        ("lidr/transforms/detection/decide_language.py", *_LANGUAGES)
    ),
    "lidr/transforms/detection/detectors.py": Module(_LANGUAGES),
    "lidr/transforms/detection/said_in_code.py": Module(("lidr/transforms/detection/said_in_code.py", *_LANGUAGES)),
    "lidr/transforms/detection/scripts_and_letters.py": Module(
        ("lidr/transforms/detection/scripts_and_letters.py", *_LANGUAGES)
    ),
    "lidr/evals/statistics.py": Module(("lidr/evals/statistics.py", "tests/evals/test_statistics.py", _QUICK), 12),
    "lidr/evals/win_rate.py": Module(("lidr/evals/win_rate.py", "tests/evals/test_win_rate.py", _QUICK), 12),
    "lidr/evals/length_control.py": Module(("lidr/evals/length_control.py", "tests/evals/test_length_control.py"), 12),
    "lidr/evals/mgsm/mgsm_task.py": Module(("lidr/evals/mgsm/mgsm_task.py", *_NUMBERS)),
    "lidr/evals/mgsm/boxed_answers.py": Module(_NUMBERS),
    "lidr/evals/mgsm/conclusions.py": Module(_NUMBERS),
    "lidr/evals/mgsm/number_reading.py": Module(("lidr/evals/mgsm/number_reading.py", *_NUMBERS)),
    "lidr/evals/mgsm/sentence_numbers.py": Module(_NUMBERS),
    "lidr/evals/mgsm/passages.py": Module(_NUMBERS),
    "lidr/evals/mgsm/calculations.py": Module(_NUMBERS),
    "lidr/evals/mgsm/numerals.py": Module(("lidr/evals/mgsm/numerals.py", *_NUMBERS)),
    "lidr/evals/mgsm/words/numbers_in_words.py": Module(("lidr/evals/mgsm/words/numbers_in_words.py", *_NUMBERS)),
    "lidr/evals/mgsm/words/scale_words.py": Module(_NUMBERS),
}

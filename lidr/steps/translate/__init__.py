"""translate: the policy, or somebody in its place, translates its answers, d -> xx and xx -> d.

responses -> translate -> translations
"""

from lidr.steps.translate.prompt_translations import check_fits
from lidr.steps.translate.translate_step import (
    STEP,
    identity_translate,
    outside_translate,
    run_translate,
    translate_texts,
)

__all__ = ["STEP", "check_fits", "identity_translate", "outside_translate", "run_translate", "translate_texts"]

"""translate: the policy, or somebody in its place, translates its answers, d -> xx and xx -> d.

responses -> translate -> translations
"""

from lidr.steps.translate.translate_config import Retry, TranslateConfig
from lidr.steps.translate.translate_step import STEP, run_translate
from lidr.steps.translate.translator import Translator

__all__ = ["STEP", "Retry", "TranslateConfig", "Translator", "run_translate"]

"""prompts: the parallel prompts of an iteration, from files, tables and data sets as people write them.

prompts.source -> prompts -> prompts
"""

from lidr.steps.prompts.prompt_draft import PromptDraft, column_form, draft_prompts
from lidr.steps.prompts.prompts_step import STEP, given_ids, id_advice, outside_prompts, read_given, run_prompts

__all__ = [
    "STEP",
    "PromptDraft",
    "column_form",
    "draft_prompts",
    "given_ids",
    "id_advice",
    "outside_prompts",
    "read_given",
    "run_prompts",
]

"""MGSM (Shi et al. 2022): 250 word problems in eleven languages; an answer is right when its number is the gold one.

In: rows and answers. Out: which number was read and by which rule (`number_reading`), whether it is the gold one, and
the language of the answer. lm-eval's task files name functions of this face.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.mgsm.mgsm_task import (
        VERSION,
        as_text,
        count_readings,
        load,
        mean_of_decided,
        process_results,
        prompt_of,
        prompt_sha256,
        read_answers,
        score,
        summarise,
        task_name,
    )
    from lidr.evals.mgsm.number_reading import gold_number, read_number

__all__ = [
    "VERSION",
    "as_text",
    "count_readings",
    "gold_number",
    "load",
    "mean_of_decided",
    "process_results",
    "prompt_of",
    "prompt_sha256",
    "read_answers",
    "read_number",
    "score",
    "summarise",
    "task_name",
]
__getattr__ = lazily(__name__)

"""Chat templates as text: fixed for a run, and looked at before anything is loaded. No torch, no transformers.

In: a template, its switches, a day. Out: the template with both written into it; what it reads; how two small
conversations come out.

    fixed_template    switches and date as the template's first line, so that every reader of the folder sees them
    template_probe    whether prompt and answer agree, where a turn ends, whether a system message may stand
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.templates.fixed_template import (
        FIXED_DATE,
        fix,
        fixed_anyhow,
        reads_date,
        said_switches,
        set_switches,
        switches,
        unread,
        without_fixing,
    )
    from lidr.engines.templates.template_probe import Probe, TrainingForm, probe, training_form

__all__ = [
    "FIXED_DATE",
    "Probe",
    "TrainingForm",
    "fix",
    "fixed_anyhow",
    "probe",
    "reads_date",
    "said_switches",
    "set_switches",
    "switches",
    "training_form",
    "unread",
    "without_fixing",
]
__getattr__ = lazily(__name__)

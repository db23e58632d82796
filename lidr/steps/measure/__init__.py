"""measure: how large the gap between languages is, and whether the built pairs point the right way, before training.

    prompts, responses, pairs, translations and answer scores where there are -> measure -> measures

Its record holds the means of the rows with intervals, which `weigh` and `gate` read.
"""

from lidr.steps.measure.measure_config import Margin, MeasureConfig, RoundTrip, can_referee, referees_of_scorers
from lidr.steps.measure.measure_step import STEP, run_measure
from lidr.steps.measure.measurement_summary import deciding_accuracy
from lidr.steps.measure.measurements import Measures

__all__ = [
    "STEP",
    "Margin",
    "MeasureConfig",
    "Measures",
    "RoundTrip",
    "can_referee",
    "deciding_accuracy",
    "referees_of_scorers",
    "run_measure",
]

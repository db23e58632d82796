"""From a recipe to a plan, and from a plan to artifacts. It knows no step by name: all it needs is the table of steps.

    plan(recipe) -> Plan[step, step, ...]       what would be made, what is there, what drifted and why
    run(recipe)  -> Plan, carried out           each step: cached, taken over, resumed or made; then recorded

A step's fingerprint is a hash over its settings, the recipe fields it uses, what it reads from outside, and the
fingerprints of its inputs. So a change shows in every step after it, and nowhere before.
"""

from lidr.pipeline.make_plan import plan
from lidr.pipeline.planned import Plan, PlannedStep
from lidr.pipeline.run_plan import Say, run

__all__ = ["Plan", "PlannedStep", "Say", "plan", "run"]

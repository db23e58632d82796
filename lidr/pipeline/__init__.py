"""From a recipe to a plan, and from a plan to artifacts. It knows no step by name: all it needs is the table of steps.

In: a recipe file. Out: artifacts in the store, and the plan as it then stands.

    load_recipe(path) -> Recipe                 every problem at once, with file, line and column
    plan(recipe) -> Plan[step, step, ...]       what would be made, what is there, what drifted and why
    run(recipe)  -> Plan, carried out           each step: cached, taken over, resumed or made; then recorded

A step's fingerprint is a hash over its settings, the recipe fields it uses, what it reads from outside, and the
fingerprints of its inputs. So a change shows in every step after it, and nowhere before.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.pipeline.checks import Checked, check_recipe, surroundings_of
    from lidr.pipeline.decisions import Decisions
    from lidr.pipeline.estimates import Costs, StepTime, costs_of, replicas_of
    from lidr.pipeline.fitting import MemoryNeed
    from lidr.pipeline.make_plan import plan, recipe_field
    from lidr.pipeline.needs import Need, gigabytes
    from lidr.pipeline.planned import DONE, KEPT, NOTHING_TO_DO, Plan, PlannedStep
    from lidr.pipeline.recipe_file import load_recipe
    from lidr.pipeline.room import asked_alone, can_run_here, check_job, lacking_here, of_another_machine
    from lidr.pipeline.run_log import LOG_FILE, LOG_FORM, SAID, how_it_ended, kept_in
    from lidr.pipeline.run_plan import Say, package_versions, refuse_unresolved, run
    from lidr.pipeline.slots_kept import KeptShare, is_last_of_pairs, kept_share, setting_of
    from lidr.pipeline.step_order import order

__all__ = [
    "DONE",
    "KEPT",
    "LOG_FILE",
    "LOG_FORM",
    "NOTHING_TO_DO",
    "SAID",
    "Checked",
    "Costs",
    "Decisions",
    "KeptShare",
    "MemoryNeed",
    "Need",
    "Plan",
    "PlannedStep",
    "Say",
    "StepTime",
    "asked_alone",
    "can_run_here",
    "check_job",
    "check_recipe",
    "costs_of",
    "gigabytes",
    "how_it_ended",
    "is_last_of_pairs",
    "kept_in",
    "kept_share",
    "lacking_here",
    "load_recipe",
    "of_another_machine",
    "order",
    "package_versions",
    "plan",
    "recipe_field",
    "refuse_unresolved",
    "replicas_of",
    "run",
    "setting_of",
    "surroundings_of",
]
__getattr__ = lazily(__name__)

"""What a plan still takes: measured where the same was measured before, else estimated and said so.

plan -> costs_of -> Costs: times, GPU hours and price, memory, disk, and what the estimates rest on, in sentences
"""

from lidr.pipeline.estimates.plan_costs import Costs, StepTime, costs_of, replicas_of

__all__ = ["Costs", "StepTime", "costs_of", "replicas_of"]

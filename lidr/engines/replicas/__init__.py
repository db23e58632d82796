"""Several engines that share one stream of questions: each is in a Ray actor, on this machine or on others.

In: an `EngineSpec` whose `replicas` is not 1. Out: an `Engine` like any other; only its user keeps answers, so a
replica, a node or the whole cluster can be lost without a row lost or doubled. Ray places and reaches the actors; which
question is where, lidr knows itself (`chunks`).
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.replicas.own_ray import open_replicas

__all__ = ["open_replicas"]
__getattr__ = lazily(__name__)

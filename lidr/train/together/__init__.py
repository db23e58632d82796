"""What training in several processes needs besides training in one: see lidr/worker/ranks.py for how they are started.

In: a run's batches and its policy's folder. Out: a trainer that is one of several, and the policy put together.

shared_batches    which pairs of a batch are whose, also of the last batch
sharded_policy    a policy of which each process holds a part
shared_trainer    TRL's trainer with both
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.train.together.sharded_policy import is_in_parts, load_in_parts, put_together, take_apart
    from lidr.train.together.shared_batches import gathering
    from lidr.train.together.shared_trainer import SharedTrainer

__all__ = [
    "SharedTrainer",
    "gathering",
    "is_in_parts",
    "load_in_parts",
    "put_together",
    "take_apart",
]
__getattr__ = lazily(__name__)

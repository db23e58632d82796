"""Opening an engine; one that holds a model runs in a worker process, which ends with it.

In: an `EngineSpec`. Out: an `Engine`, here or by messages to its worker.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.process.engine_process import ProcessEngine, open_engine
    from lidr.engines.process.kept_engine import KeptEngine

__all__ = [
    "KeptEngine",
    "ProcessEngine",
    "open_engine",
]
__getattr__ = lazily(__name__)

"""Workers for many families: forks of one process that has TRL, peft and lm-eval imported, besides torch.

Whole runs of thirty families start some hundred workers, and most of a worker's time is importing. They are lidr's own
workers, forked by lidr's own server; only what the server imports first is more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lidr.worker import fork_server, worker_process


@contextmanager
def warm_workers(server: str = "tests.families.warm_server") -> Iterator[None]:
    """Fork the workers of this process from the warm server, a module that is run so, until the block ends."""
    fork_server.close_fork_server()
    env = {**worker_process._UNLESS_SET, **os.environ, **worker_process._ALWAYS}
    fork_server._RUNNING.append(fork_server._Server(env, server))
    try:
        yield
    finally:
        fork_server.close_fork_server()


if __name__ == "__main__":
    import lm_eval.evaluator
    import lm_eval.models.huggingface  # noqa: F401
    import peft  # noqa: F401
    import trl

    import lidr.evals.harness.lm_eval_run
    import lidr.train.training_run  # noqa: F401

    _ = trl.DPOTrainer
    fork_server.main()

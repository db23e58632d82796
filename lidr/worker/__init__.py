"""Heavy work in a process group of its own, ended as a group.

In: a module that answers messages. Out: a `Worker`, which sends it messages and yields its replies. Where that is safe,
it is a fork of a process that has torch imported. A worker may have its work done by several processes, by torchrun.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.worker.fork_server import close_fork_server
    from lidr.worker.ranks import serve_rank, work_together
    from lidr.worker.root_cause import explained
    from lidr.worker.who_works import is_alive, this_process
    from lidr.worker.worker_process import Worker, replies_of, serve

__all__ = [
    "Worker",
    "close_fork_server",
    "explained",
    "is_alive",
    "replies_of",
    "serve",
    "serve_rank",
    "this_process",
    "work_together",
]
__getattr__ = lazily(__name__)

"""A parent process to be killed: opens an engine, answers requests, says so, and goes on asking until it is ended.

Run as: python tests/engines/holder.py TASK.json, with {"spec", "log", "requests", "results"}; `requests` as in
lidr.engines.process.worker_messages. It prints the id of the worker's process group once the results are written.
"""

import json
import sys
from pathlib import Path

from lidr.engines.engine import EngineSpec
from lidr.engines.process import worker_messages
from lidr.engines.process.engine_process import ProcessEngine, open_engine


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text())
    requests = worker_messages.decode_requests(task["requests"])
    with open_engine(EngineSpec(**task["spec"]), log=Path(task["log"])) as engine:
        assert isinstance(engine, ProcessEngine)
        results = [worker_messages.encode_result(result) for result in engine.generate(requests)]
        Path(task["results"]).write_text(json.dumps(results))
        print(engine.pid, flush=True)
        while True:
            for _ in engine.generate(requests):
                pass


if __name__ == "__main__":
    main()

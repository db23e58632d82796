"""How well the judge's waiting is used: a ratio to what calls x latency / concurrency allows, never a time.

    python -m tests.benchmarks.judge [ITEMS]        default 805

A server in a process of its own answers every question after 0.2 s, however many there are. 32 questions are in flight,
every answer goes into the cache. Goal: at most 1.3; and a second run makes no call.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

LATENCY_S = 0.2
CONCURRENCY = 32


def serve(said: Connection) -> None:
    """Answer on loopback until killed; says its port."""
    from tests.evals.judge.answers import likes

    body = likes(0.7).body.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(asked.split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(LATENCY_S)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=256)
        said.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def main(items: int) -> None:
    """Print the ratio."""
    from lidr.evals.judge import Comparison, JudgeSettings, calls_needed, judge

    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    # About as long as real answers: 1,700 and 1,000 characters.
    asked = [
        Comparison(str(i), f"Question {i}?", f"{i} reference. " * 100, f"{i} answer. " * 100) for i in range(items)
    ]
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "judge.sqlite"
        settings = JudgeSettings(model="m", base_url=url, mode="logprob", concurrency=CONCURRENCY, cache=str(cache))
        began = time.perf_counter()
        verdicts = judge(asked, settings)
        took = time.perf_counter() - began
        began = time.perf_counter()
        again = judge(asked, settings)
        second = time.perf_counter() - began
        left = calls_needed(asked, settings)
    server.kill()
    assert all(verdict.preference is not None for verdict in verdicts)
    assert all(order.cached for verdict in again for order in verdict.orders)
    bound = items * LATENCY_S / CONCURRENCY
    print(
        f"{items} calls, {LATENCY_S} s each, {CONCURRENCY} in flight: time / bound = {took / bound:.2f} (goal: at most "
        f"1.3); again from the cache: {second / took:.3f} of that time, {left} calls left"
    )
    print(json.dumps({"ratio": round(took / bound, 3), "took_s": round(took, 2), "second_s": round(second, 2)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 805)

"""Make everything in this folder, at commit cf61f58: python -m tests.frozen.make WORK

WORK is a new folder outside the clone. What is made there is copied back here; what holds a folder of this machine is
refused. The code of later commits reads what this one wrote, so this is kept to say how it was made, and not run again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow.parquet as pq

from tests import tiny

HERE = Path(__file__).parent
REPO = HERE.parents[1]
LANGUAGES = {"en": "English", "es": "Spanish"}
JUDGE, CANNED = 18765, 18766
"""Ports that stand in the recipes; nothing listens there when the frozen things are read."""

NUMBERS = {
    "en": ("one", "two", "three", "four", "five", "six", "seven", "eight"),
    "es": ("uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho"),
}
OWN = {
    "en": "This is task number {w}. We work it out step by step, and so the answer that we find is {n}.",
    "es": "Esta es la tarea número {w}. Hacemos la cuenta con calma y la respuesta es {n}.",
}
TRANSLATED = {
    "en": "Translated from {source}: this is the task with the number {w}, and the answer to it is {n}.",
    "es": "Traducido de {source}: esta es la tarea que lleva el número {w}, y su respuesta es {n}.",
}
JUDGED = {
    "en": "That is easily said: one thing after the other, and with some patience.",
    "es": "Eso se dice pronto: una cosa tras otra y con un poco de paciencia.",
}
ODD: dict[tuple[str, str, int], dict[str, Any]] = {  # translations that fail, each in its own way
    ("en", "es", 1): {"text": "Esta es la tarea que", "finish_reason": "length"},
    ("en", "es", 2): {"text": "</translated>"},
    ("es", "en", 4): {"text": "Esto no está en inglés, sino que por desgracia sigue en español.\n</translated>"},
}


def rows_of(path: str, language: str, first: int, stop: int) -> list[dict[str, str]]:
    lines = (REPO / "recipes/prompts" / path / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[first:stop]]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_sources(work: Path) -> None:
    """Prompts, evaluation rows and canned answers."""
    for path in (*HERE.glob("*.yaml"), HERE / "others.jsonl"):
        shutil.copy(path, work)
    rules: list[dict[str, Any]] = []
    said: list[tuple[str, int, str, str]] = []  # language, prompt, text, number
    for language in LANGUAGES:
        prompts = rows_of("word_problems", language, 0, 8)
        write(
            work / f"prompts/{language}.jsonl",
            [{"id": row["id"], "instruction": row["query"], "response": row["response"]} for row in prompts],
        )
        problems = rows_of("word_problems", language, 8, 11)
        write(work / f"rows/word_problems/{language}.jsonl", problems)
        tasks = rows_of("open_instructions", language, 0, 3)
        write(work / f"rows/open_instructions/{language}.jsonl", tasks)
        for i, row in enumerate(prompts):
            is_wrong = i % 2 == 1 if language == "es" else i == 6
            number = str(int(row["response"]) + 1) if is_wrong else row["response"]
            text = OWN[language].format(w=NUMBERS[language][i], n=number)
            rules.append({"match": row["query"], "text": text})
            said.append((language, i, text, number))
        for i, row in enumerate(problems):
            is_right = language == "en" or i == 0
            rules.append({"match": re.escape(row["query"]), "text": f"{row['response'] if is_right else 5}"})
        for i, row in enumerate(tasks):
            instruction = row.get("instruction") or row["query"]
            rules.append({"match": re.escape(instruction), "text": JUDGED[language] + "." * i})
    rules = [*translations(said), *rules, {"text": "I do not know."}]
    write(work / "answers.jsonl", rules)


def translations(said: list[tuple[str, int, str, str]]) -> list[dict[str, Any]]:
    """Of each answer into each other language, and of each translation back: these come first."""
    rules = []
    for source, i, text, number in said:
        for target in LANGUAGES:
            if target == source:
                continue
            words = {"w": NUMBERS[target][i], "n": number}
            there = TRANSLATED[target].format(source=LANGUAGES[source], **words)
            words["w"] = NUMBERS[source][i]
            back = TRANSLATED[source].format(source=LANGUAGES[target], **words)
            odd = ODD.get((source, target, i), {"text": f"{there}\n</translated>"})
            rules.append({"match": f"into {LANGUAGES[target]}\\..*{re.escape(text)}", **odd})
            rules.append(
                {"match": f"into {LANGUAGES[source]}\\..*{re.escape(there)}", "text": f"{back}\n</translated>"}
            )
    return rules


def canned(rules: list[dict[str, Any]], message: str) -> dict[str, Any]:
    """The first rule that fits, as the scripted engine finds it."""
    return next(
        rule for rule in rules if rule.get("match") in (None, message) or re.search(rule["match"], message, re.DOTALL)
    )


def small_policy(folder: Path) -> None:
    """A model of some 3,000 parameters: tests/tiny.py's, narrower and with fewer tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    tiny._VOCABULARY = 288
    tiny.tiny_model(folder, "smollm2")
    config, ids = AutoConfig.from_pretrained(folder), GenerationConfig.from_pretrained(folder)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.head_dim = 8, 16, 1, 4
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config = ids
    model.save_pretrained(folder)


class Work:
    """The folder that things are made in, and lidr's commands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LIDR_", "HF_", "OPENAI_")) and name != "PYTHONPATH"
        } | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lidr.cli.main", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, start_new_session=True
        )

    def lidr(self, *words: str) -> str:
        process = self.start(*words)
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"lidr {' '.join(words)}: exit code {process.returncode}")
        return out

    @contextmanager
    def hub(self) -> Iterator[None]:
        """The embedded Hub of the store, for as long as the block."""
        process = self.start("hub", "serve", "--root", "store/.hub", "--port", "0")
        try:
            while not (self.folder / "store/.hub/hub.json").exists():
                time.sleep(0.1)
            found = json.loads(self.lidr("hub", "env", "--root", "store/.hub", "--json"))["environment"]
            self.environment |= found
            yield
        finally:
            process.terminate()
            process.communicate()
            self.environment = {k: v for k, v in self.environment.items() if not k.startswith("HF_")}

    def upload_policy(self) -> None:
        code = (
            "from huggingface_hub import HfApi; api = HfApi(); api.create_repo('lidr/frozen-base'); "
            "api.upload_folder(repo_id='lidr/frozen-base', folder_path='base'); "
            "api.create_tag('lidr/frozen-base', tag='v1')"
        )
        subprocess.run([sys.executable, "-c", code], cwd=self.folder, env=self.environment, check=True)


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions; `choice(messages)` is what it says."""

    protocol_version = "HTTP/1.1"
    choice: Callable[[list[dict[str, str]]], dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        choice = {"index": 0, "finish_reason": "stop"} | type(self).choice(body["messages"])
        answer = {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        sent = json.dumps(answer).encode()
        with suppress(OSError):  # whoever asked was killed
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def preferred(messages: list[dict[str, str]]) -> dict[str, Any]:
    """The judge: how likely `m` is before `M`, by a hash of the question."""
    digest = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).digest()
    p = (digest[0] + 1) / 258
    top = [{"token": "m", "logprob": math.log(p)}, {"token": "M", "logprob": math.log(1 - p)}]
    top = [{**entry, "bytes": list(str(entry["token"]).encode())} for entry in sorted(top, key=lambda e: -e["logprob"])]
    message = {"role": "assistant", "content": top[0]["token"]}
    return {"message": message, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}


@contextmanager
def judge() -> Iterator[None]:
    """The judge at its port."""
    handler = type("Judge", (Handler,), {"choice": staticmethod(preferred)})
    with serving(ThreadingHTTPServer(("127.0.0.1", JUDGE), handler)):
        yield


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def policy(rules: list[dict[str, Any]], before: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """A server that answers as the scripted engine does; `before` is called with each request's number."""
    numbers = count(1)

    def choice(messages: list[dict[str, str]]) -> dict[str, Any]:
        before(next(numbers))
        rule = canned(rules, next(message["content"] for message in reversed(messages) if message["role"] == "user"))
        message = {"role": "assistant", "content": rule["text"]}
        return {"message": message, "finish_reason": rule.get("finish_reason", "stop")}

    handler = type("Policy", (Handler,), {"choice": staticmethod(choice)})
    with serving(ThreadingHTTPServer(("127.0.0.1", CANNED), handler)):
        yield


def half(work: Work, rules: list[dict[str, Any]], step: str, killed_at: int) -> None:
    """Kill a run at one of its requests, before it is answered; the journal's last line is torn besides."""
    processes: list[subprocess.Popen[str]] = []

    def before(number: int) -> None:
        if number == killed_at:
            os.killpg(processes[0].pid, signal.SIGKILL)
            processes[0].wait()

    with policy(rules, before):
        processes.append(work.start("run", f"half-{step}.yaml", "--quiet"))
        processes[0].communicate()
    journal = work.folder / f"store/half-{step}/0.1.0/iter_1/{step}.partial/work/answers.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])


def expected(work: Work, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """What this commit makes of it all, for later ones to compare with."""
    found: dict[str, Any] = {"exports": {}, "half": {}}
    with work.hub():
        for where, reference in (("store", "run:frozen"), ("hub", "lidr/frozen-prefs@v0.1.0")):
            for form in ("trl", "llama-factory", "axolotl", "open-instruct", "jsonl"):
                out = work.folder / "scratch" / f"{where}-{form}"
                work.environment["LIDR_STORE"] = "store"
                work.lidr("pairs", "export", reference, "--to", form, "--name", "frozen", str(out))
                assert found["exports"].setdefault(form, contents(out)) == contents(out)  # equal from either place
        del work.environment["LIDR_STORE"]
    for step in ("generate", "translate"):
        with policy(rules):
            work.lidr("run", f"half-{step}.yaml", "--quiet", "--set", "runtime.store=scratch/store")
        records = sorted((work.folder / f"scratch/store/half-{step}").rglob("record.json"))
        found["half"][step] = {
            str(path.parent.relative_to(path.parents[2])): json.loads(path.read_bytes())["digest"] for path in records
        }
    return found


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of what an export holds for a trainer: of Parquet the rows, of other files the bytes."""
    found = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name != "README.md"):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def readable(path: Path) -> bytes:
    """What a file holds, without the compression of Parquet."""
    content = path.read_bytes()
    if content[:4] != b"PAR1":
        return content
    table = pq.read_table(path)
    return repr((table.to_pylist(), table.schema.metadata)).encode()


def left_out(folder: str, names: list[str]) -> set[str]:
    """What a running process leaves in a store or a Hub, and what was only of use here."""
    if Path(folder).name in ("store", ".hub"):
        return {"client", ".lock", ".holder.json", "hub.json"} | {name for name in names if name.endswith(".lock")}
    return {"base", "scratch"} if "frozen.yaml" in names else {name for name in names if name == "log.txt"}


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    work = Work(folder.resolve())
    write_sources(folder)
    rules = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    small_policy(folder / "base")
    with work.hub(), judge():
        work.upload_policy()
        work.lidr("lock", "frozen.yaml")
        print(work.lidr("run", "frozen.yaml", "--quiet"))
        work.lidr("lock", "mix.yaml")
        print(work.lidr("run", "mix.yaml", "--quiet"))
    half(work, rules, "generate", 6)
    half(work, rules, "translate", 8 + 4)
    with judge(), policy(rules):
        work.environment["LIDR_STORE"] = "store"
        print(
            work.lidr(
                *("eval", "run", "--model", f"openai:canned@http://127.0.0.1:{CANNED}/v1", "--langs", "en,es"),
                *("--data", "rows", "--max-tokens", "48", "--out", "store/evals/canned"),
                *("--judge", f"openai:judge-1@http://127.0.0.1:{JUDGE}/v1"),
            )
        )
        del work.environment["LIDR_STORE"]
    (folder / "expected.json").write_text(json.dumps(expected(work, rules), indent=1) + "\n", encoding="utf-8")
    shutil.copytree(folder, HERE, ignore=left_out, dirs_exist_ok=True)
    places = [str(place).encode() for place in (work.folder, REPO, Path.home())]
    files = [path for path in HERE.rglob("*") if path.is_file()]
    found = [path for path in files if any(place in readable(path) for place in places)]
    if found:
        raise SystemExit(f"these hold a folder of this machine: {', '.join(map(str, found))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

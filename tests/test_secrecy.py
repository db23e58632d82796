"""No secret in anything that lidr prints or writes: a whole run and failing ones, with a secret in every variable."""

# ruff: noqa: E501
from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from lidr.errors import EngineError, RecipeError
from lidr.hub import clean
from lidr.hub_server import serve_in_background
from lidr.secrecy import clean_data, cleaned_output, keep_secret, without_known, without_secrets, without_user
from tests.scripted import RECIPE, write_world

JUDGED = """\
  - evaluate:
      tasks: [mgsm, x_alpacaeval]
      languages: [en]
      data: [{folder}/rows]
      max_tokens: 32
      judge: {{model: "JUDGE", mode: text, max_error_share: 1.0}}
"""
SECRETS = {
    "HF_TOKEN": "hubTok-7Qx9LmP2vR4s",
    "OPENAI_API_KEY": "sk-openai-Zk3Wq8Yt1Nb6",
    "LIDR_JUDGE_API_KEY": "judgeKey-Hd5Rg0Vc7Xe2",
    "ENDPOINT_USER": "endpointUser77",
    "ENDPOINT_PASSWORD": 'endp"oint/pw@ü+9&Jj4',
    "PROXY_USER": "proxyUser4242",
    "PROXY_PASSWORD": "proxyPw?Bm1#Tk8",
}


def forms(secret: str) -> set[bytes]:
    """How it may look: written here by other means than lidr's own."""
    raw = secret.encode()
    found = {
        raw,
        quote(secret, safe="").encode(),
        re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), quote(secret, safe="")).encode(),
        json.dumps(secret)[1:-1].encode(),
    }
    for before in (b"", b"endpointUser77:", b"proxyUser4242:", b":", b"x:"):
        sure = (len(before) + len(raw)) * 8 // 6  # the character after these says something of what follows too
        found.add(base64.b64encode(before + raw)[(len(before) * 8 + 5) // 6 : sure])
    return {form for form in found if len(form) >= 8}


FORMS = {name: forms(secret) for name, secret in SECRETS.items()}


def holds(content: bytes) -> list[str]:
    return [name for name, looks in FORMS.items() if any(look in content for look in looks)]


def leaks(folder: Path) -> list[str]:
    """Every file below a folder that holds a secret, Parquet unpacked; a Hub's hub.json, for its owner alone, may."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name == "hub.json":
            continue
        content = path.read_bytes() + str(path).encode()
        if content[:4] == b"PAR1":
            content += json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
        found += [f"{path}: {name}" for name in holds(content)]
    return found


class Parrot(BaseHTTPRequestHandler):
    """A server that repeats the key it was sent: in its answers, or, for a model `refused`, in its refusal."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = f"I was asked with {self.headers['Authorization']}."
        status, body = 200, {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
        if asked["model"] != "parrot":
            status, body = int(asked["model"]), {"error": said}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")  # what may pass is asked again at once
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def parrot() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def with_user(url: str, *, encoded: bool = True) -> str:
    scheme, _, rest = url.partition("://")
    password = SECRETS["ENDPOINT_PASSWORD"]
    return f"{scheme}://{SECRETS['ENDPOINT_USER']}:{quote(password, safe='') if encoded else password}@{rest}"


class World:
    """A recipe, a store, a Hub, and an environment that is full of secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, []
        self.recipe = write_world(folder / "w")
        self.hub = serve_in_background(folder / "hub", token=SECRETS["HF_TOKEN"])
        proxy = f"http://{SECRETS['PROXY_USER']}:{quote(SECRETS['PROXY_PASSWORD'], safe='')}@127.0.0.1:9"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LIDR_", "OPENAI_"))}
        self.environment = {
            **kept, **self.hub.environment, "HF_ENDPOINT": with_user(self.hub.url), "HTTP_PROXY": proxy, "https_proxy": proxy,
            "NO_PROXY": "127.0.0.1,localhost", "LIDR_HUB_TOKEN": SECRETS["HF_TOKEN"], "PYTHONPATH": os.getcwd(),
            "OPENAI_API_KEY": SECRETS["OPENAI_API_KEY"], "LIDR_JUDGE_API_KEY": SECRETS["LIDR_JUDGE_API_KEY"],
            "HF_HOME": str(folder / "hf"), "LIDR_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def run(self, *words: str, code: int | None = None, **changed: str) -> str:
        """One command; both its outputs, in which no secret may stand."""
        return self.python(["-m", "lidr.cli.main", *words], code, **changed)

    def run_all(self, *commands: tuple[str, ...], codes: set[int] | None = None, **changed: str) -> str:
        """Several commands in one process, where no option of theirs must be known before anything is imported."""
        code = (
            "import json, sys; from lidr.cli.main import main\n"
            "def code(words):\n"
            "    try: return main(words)\n"
            "    except SystemExit as error: return error.code\n"
            "print('exit codes', *[code(words) for words in json.loads(sys.argv[1])])"
        )
        said = self.python(["-c", code, json.dumps(commands)], 0, **changed)
        found = {int(word) for word in re.findall(r"^exit codes (.*)$", said, re.MULTILINE)[-1].split()}
        assert found <= (codes if codes is not None else found), said
        return said

    def python(self, words: list[str], code: int | None, **changed: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={**self.environment, **changed},
            capture_output=True,
            timeout=300,
        )
        assert holds(done.stdout + done.stderr) == [], f"{words}: {(done.stdout + done.stderr).decode()}"
        said = (done.stdout + done.stderr).decode()
        assert code is None or done.returncode == code, f"{words}: {done.returncode}: {said}"
        return said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("secret"))
    with made.hub:
        yield made
    assert leaks(made.folder) == [], "what is left when all has ended"


def test_a_whole_run_leaves_no_secret_anywhere(world: World, parrot: str):
    recipe = str(world.recipe)
    world.run_all(*[(word, recipe) for word in ("validate", "plan", "run", "plan")], codes={0})
    assert "left out" in world.run("publish", recipe, "--pairs", "lidr/secret-prefs", code=0)
    world.run_all(("report", recipe), ("status", recipe), ("card", recipe))
    said = world.run("reproduce", "lidr/secret-prefs@v0.1.0", "--endpoint", with_user(world.hub.url), "--quiet", code=0)
    assert "identical" in said
    assert leaks(world.folder) == []


def test_answers_and_evaluations_of_a_server_that_repeats_its_key_are_clean(world: World, parrot: str):
    folder = world.folder / "parrot"
    text = RECIPE.replace("drop: joint", "drop: joint, min_kept: 0")
    text = text.replace("openai:canned@http://127.0.0.1:9", f"openai:parrot@{parrot}").replace(
        "name: scripted", "name: parrot"
    )
    text = text.replace("iterations:", JUDGED + "iterations:").replace('  - prompts: "4:8"\n', "")
    recipe = write_world(folder, text.replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: openai"))
    (folder / "recipe.yaml").write_text(recipe.read_text().replace("JUDGE", f"openai:parrot@{parrot}"))
    for name in ("word_problems", "open_instructions"):
        (rows := folder / "rows" / name).mkdir(parents=True)
        row = {
            "query": "How many is one and one?",
            "instruction": "Add one and one.",
            "response": "2",
            "output": "Two.",
        }
        lines = [{"id": f"q{i}", **row} for i in (1, 2)]
        (rows / "en.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = world.run("run", str(recipe), code=0)
    tables = [pq.read_table(path).to_pylist() for path in world.folder.rglob("*.parquet")]
    assert "I was asked with Bearer ***" in json.dumps(tables, default=str), "the server must have repeated it"
    (results,) = world.folder.rglob("iter_1/evaluate/results")
    judged = [json.loads(row["detail"]) for row in pq.read_table(results / "samples.parquet").to_pylist()]
    assert any("I was asked with Bearer ***" in json.dumps(detail.get("verdict")) for detail in judged), said
    again = ("eval", "judge", str(results), "--judge", f"openai:parrot@{parrot}", "--data", str(folder / "rows"))
    world.run(*again)
    assert leaks(world.folder) == []


@pytest.mark.parametrize("status", ["401", "404", "400", "500"])
def test_a_server_that_refuses_and_repeats_its_key(world: World, parrot: str, status: str):
    folder = world.folder / f"refused-{status}"
    text = RECIPE.replace("openai:canned@http://127.0.0.1:9", f"openai:{status}@{parrot}").replace(
        "name: scripted", f"name: r{status}"
    )
    recipe = write_world(folder, text.replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: openai"))
    assert f"HTTP {status}" in world.run("run", str(recipe), code=2)
    assert leaks(world.folder) == []


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_hubs_that_are_away_refuse_or_do_not_know(world: World):
    away = with_user(closed_port())
    world.run("reproduce", "lidr/nothing@v1", "--endpoint", away, "--quiet", code=2)
    world.run("reproduce", "lidr/nothing@v1", "--endpoint", with_user(world.hub.url), "--quiet", code=2)
    world.run("lineage", "lidr/nothing@v1", "--endpoint", with_user("http://no.such.host.invalid"), code=2)
    world.run("lineage", "lidr/nothing@v1", "--endpoint", with_user(world.hub.url, encoded=False))
    world.run("publish", str(world.recipe), "--pairs", "lidr/x", HF_TOKEN="wrongTok-" + SECRETS["OPENAI_API_KEY"])
    assert leaks(world.folder) == []


def test_addresses_that_are_refused_are_not_repeated(world: World):
    model = f"policy.model=openai:m@{with_user('http://127.0.0.1:9/v1')}"
    overrides = (model, model.replace("http:", "ftp:"), f"prompts.source={with_user('http://127.0.0.1:9/p')}")
    judge = with_user("http://127.0.0.1:9/v1")
    recipe = str(world.recipe)
    world.run_all(
        *[("validate", recipe, "--set", override) for override in overrides],
        *[("run", recipe, "--set", override, "--set", "version=9.9.9") for override in overrides],
        ("eval", "run", "--model", "./x", "--langs", "en", "--judge", f"openai:j@{judge}"),
        ("reproduce", "--endpoin=x", with_user("http://h"), "surplus", with_user("http://h")),
        (with_user("http://h"),),
    )
    world.run("eval", "run", "--model", "./x", "--langs", "en", LIDR_JUDGE_BASE_URL=judge, LIDR_JUDGE_MODEL="j", code=2)
    assert leaks(world.folder) == []


def test_a_bug_is_shown_without_secrets(world: World):
    code = (
        "import os, sys, lidr.cli.recipe.ls as ls, lidr.cli.main as m\n"
        "def broken(): raise RuntimeError(' '.join([*os.environ.values(), sys.argv[1]]))\n"
        "ls.shipped = broken\nsys.exit(m.main(['ls']))"
    )
    said = world.python(["-c", code, with_user("http://h")], 1)
    assert "Traceback" in said
    assert "RuntimeError" in said


def test_a_hub_of_its_own_does_not_show_a_token_that_was_given(world: World):
    command = [
        sys.executable,
        "-m",
        "lidr.cli.main",
        "hub",
        "serve",
        "--port",
        "0",
        "--token",
        SECRETS["OPENAI_API_KEY"],
    ]
    process = subprocess.Popen(
        [*command, "--root", str(world.folder / "own")],
        env={name: value for name, value in world.environment.items() if name != "OPENAI_API_KEY"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=world.folder,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (world.folder / "own" / "hub.json").exists() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert b"Hub at" in said
    assert holds(said) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a:b@h/x", "http://***@h/x"),
        ("http://a:b@c@h/x", "http://***@h/x"),
        ("ssh://git@h/x https://h/@x http://h?a@b", "ssh://***@h/x https://h/@x http://h?a@b"),
        ('{"url": "socks5://u@h"}', '{"url": "socks5://***@h"}'),
        ("Authorization: Basic YWRhOmxvdmVsYWNl", "Authorization: Basic ***"),
        ("'authorization': 'Bearer abc.def-ghi'", "'authorization': 'Bearer ***'"),
        ("two hf_abcdefghij", "two ***"),
        ("openai:m@http://127.0.0.1:9/v1 org/name@main a@b.c", "openai:m@http://127.0.0.1:9/v1 org/name@main a@b.c"),
    ],
)
def test_by_its_form_alone_a_secret_is_known(text: str, expected: str):
    assert without_secrets(text) == expected


def test_values_of_variables_are_found_in_every_form(monkeypatch: pytest.MonkeyPatch):
    for name in ("HF_TOKEN", "MY_API_KEY", "DB_PASSWORD", "APP_SECRET"):
        monkeypatch.setenv(name, f"{name}-ü&/=+\"'x")
        for form in forms(f"{name}-ü&/=+\"'x"):
            assert form not in without_known(f"a {form.decode()} b").encode(), (name, form)
    monkeypatch.setenv("HTTPS_PROXY", "ada-the-user:love%2Flace-1@proxy:3128")
    assert without_known("ada-the-user and love/lace-1 and love%2flace-1") == "*** and *** and ***"
    assert without_known("nothing that is secret") == "nothing that is secret"


def test_a_short_value_is_hidden_where_it_is_a_word_of_what_is_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_API_KEY", "s3c-et")
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:pw#1@proxy:3128")
    said = "key s3c-et, 's3c-et', xs3c-et, user ada:pw#1, pw%231 and pw#12"
    assert without_secrets(said) == "key ***, '***', xs3c-et, user ***, *** and pw#12"
    assert clean_data(said) == said.replace("ada:pw#1", "***")  # eight characters, which no data holds by chance


@pytest.mark.parametrize("key", ["none", "EMPTY", "placeholder"])
def test_a_placeholder_for_a_key_hides_no_word(monkeypatch: pytest.MonkeyPatch, key: str):
    monkeypatch.setenv("LIDR_JUDGE_API_KEY", key)
    keep_secret(key)
    said = f"pair: {{dominant_pairs: {key}}}, leave it out by --judge {key}"
    assert without_secrets(said) == clean_data(said) == clean({"a": [said]})["a"][0] == said


def test_a_short_key_changes_no_setting_of_what_is_published(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIDR_JUDGE_API_KEY", "joint")
    assert without_secrets("drop: joint") == "drop: ***"
    assert clean("# one token more: authorization by hand") == "# one token more: authorization by hand"
    said = clean(
        "pair: {drop: joint}, key hf_abcdefghij, Authorization: Basic YWRhOmxvdmVsYWNl, http://h?token=abcdefgh"
    )
    assert clean("see X-Amz-Signature=0123abcd and x-amz-date: 2026") == "see X-Amz-Signature=*** and x-amz-date: ***"
    assert said.startswith("pair: {drop: joint}, key ***, Authorization: Basic ***, http://h?token=***")


def test_data_of_others_is_left_alone():
    assert without_known("see http://user:password@example.org and hf_transformers_x") == (
        "see http://user:password@example.org and hf_transformers_x"
    )
    assert clean_data("hf_transformersxyz of http://u:p@h") == "hf_transformersxyz of http://***@h"


def test_errors_and_streams_are_clean(capsys: pytest.CaptureFixture[str]):
    assert without_user("http://some-user:some-pass-1@h:1/x?y") == "http://h:1/x?y"
    assert without_user("http://some-user:torn/pass-2@h:1/x") == "http://h:1/x"
    assert without_user("http://h:1/x@y") == "http://h:1/x@y"
    assert str(EngineError("no answer of http://a:b@h with some-pass-1")) == "no answer of http://***@h with ***"
    assert str(RecipeError(["at http://a:b@h"])) == "at http://***@h"
    with cleaned_output():
        print("some-pass-1", "http://a:b@h")
        print(base64.b64encode(b"some-user:some-pass-1").decode(), file=sys.stderr)
    out, err = capsys.readouterr()
    assert out == "*** http://***@h\n"
    assert "c29tZS11c2Vy" not in err


@pytest.mark.parametrize(
    "many", ["://", "a", "://a", "@", "://@", "bearer ", "authorization: ", "hf_", "hf_a", "://a:b@ "]
)
def test_cleaning_is_linear(many: str):
    def seconds(length: int) -> float:
        text = many * (length // len(many))
        began = time.process_time()
        without_secrets(text)
        return time.process_time() - began

    def shortest(length: int) -> float:
        return min(seconds(length) for _ in range(3))

    assert shortest(1_000_000) / max(shortest(100_000), 0.005) < 30  # ten times where linear, a hundred where quadratic

"""Lineage by records alone: in the store, across repositories of the embedded Hub, of one pair, and on its pages."""

from __future__ import annotations

import json
import re
import urllib.request
import xml.etree.ElementTree as ET

import polars as pl
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError, StoreError
from lidr.hub.client import plain_uploads
from lidr.lineage.graph import Edge, Graph, Node, graph_of, short
from lidr.lineage.picture import svg
from lidr.lineage.release_lineage import lineage
from lidr.lineage.run_lineage import lineage_of_run
from lidr.release.make_release import Destinations, release
from lidr.store.store import Store
from tests.publishing import AT_ONCE
from tests.scripted import RECIPE, write_world

PAIR = "1/p0/de-en/non_dominant"


@pytest.fixture(scope="module")
def names(trained, running) -> tuple[str, str]:
    """Pairs and policy of the trained run, published."""
    to = Destinations("lidr/lineage-prefs", "lidr/lineage")
    release(trained, to, target=running.target, patience=AT_ONCE)
    return "lidr/lineage-prefs", "lidr/lineage"


@pytest.fixture
def asked(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, hub.environment[name])
    return lambda text: lineage(text, hub.target, tmp_path / "work")


def ancestors(graph: Graph, node: str) -> set[str]:
    found: set[str] = set()
    front = [node]
    while front:
        front = [other for one in front for other in graph.before(one) if other not in found]
        found |= set(front)
    return found


def test_from_a_pair_to_its_texts_prompts_policy_and_recipe(names, asked):
    graph = asked(f"{names[0]}@v0.1.0/{PAIR}")
    assert graph.focus == f"row:{PAIR}"
    found = ancestors(graph, graph.focus)
    assert {"text:p0/en->de", "text:p0/en", "text:p0/de", "prompt:p0/de", "prompt:p0/en"} <= found
    assert {"iter_0/policy", "iter_1/translate", "iter_1/generate", "recipe:tiny"} <= found
    assert Edge("text:p0/en", "text:p0/en->de", "translated") in graph.edges
    assert Edge("text:p0/de", graph.focus, "rejected") in graph.edges
    assert names[1] in "\n".join(graph.text().partition("made from it")[2:])


def test_from_a_model_to_data_sets_and_parents_and_back(names, asked):
    graph = asked(f"{names[1]}@v0.1.0")
    assert {f"datasets/{names[0]}", "iter_1/train", "iter_1/pair"} <= ancestors(graph, names[1])
    assert names[1] in asked(f"datasets/{names[0]}").after(f"datasets/{names[0]}")


def test_what_others_made_from_a_foreign_model_is_found_on_the_hub(world, hub, new_name, asked):
    from dataclasses import replace

    base = new_name("base")
    hub.target.api().create_repo(base)
    sha = str(hub.target.api().model_info(base).sha)
    recipe = world.recipe.model_copy(
        update={"policy": world.recipe.policy.model_copy(update={"model": f"{base}@{sha}"}), "name": "later"}
    )
    first = next(a for a in world.artifacts if a.record.writes == "initial_policy")
    pinned = replace(first.record, identity={**first.record.identity, "outside": {"revision": sha}})
    artifacts = tuple(replace(a, record=pinned) if a is first else a for a in world.artifacts)
    repo = new_name("later")
    release(
        replace(world, recipe=recipe, artifacts=artifacts),
        Destinations(repo, None),
        target=hub.target,
        patience=AT_ONCE,
    )
    graph = asked(base)
    assert graph.nodes[base].lines == ("not made by lidr",)
    assert f"datasets/{repo}" in graph.after(base)
    assert base in ancestors(asked(f"{repo}@v0.1.0"), f"datasets/{repo}")


def test_a_models_evaluations_come_after_it():
    run = {
        "recipe": "r", "version": "1.0.0", "recipe_sha256": "0" * 64, "license": {"id": "mit"},
        "parents": [{"role": "policy", "name": "a/base", "revision": "1" * 40, "license": "mit"}],
        "release": {"repo": "a/m", "datasets": [{"repo": "a/p", "sha": "2" * 40}], "siblings": {"policy": "a/m"}},
    }  # fmt: skip

    def record(place: str, writes: str, inputs: list[str], **counts: object) -> dict:
        iteration, step = place.removeprefix("iter_").split("/")
        said = {name: {"place": name} for name in inputs}
        about = {"iteration": int(iteration), "step": step, "writes": writes, "inputs": said}
        return {**about, "files": [], "digest": "d" * 64, "counts": counts}

    score = {"task": "lidr_mgsm_de", "scores": {"acc": {"value": 0.25}}}
    records = [
        record("iter_0/policy", "initial_policy", []),
        record("iter_1/train", "policy", ["iter_0/policy"]),
        record("iter_1/evaluate", "scores", ["iter_1/train"], tasks=[score]),
    ]
    graph = graph_of(run, records, "a/m", "v1.0.0")
    assert graph.after("a/m") == ["iter_1/evaluate"]
    assert "lidr_mgsm_de, acc 0.250" in graph.nodes["iter_1/evaluate"].lines
    assert {"a/base", "datasets/a/p", "recipe:r"} <= ancestors(graph, "a/m")
    assert graph.nodes["datasets/a/p"].revision == "2" * 40


def test_a_run_in_the_store_has_the_same_lineage(trained):
    store = Store(trained.folder.parents[1])
    graph = lineage_of_run("run:tiny", store)
    assert {"iter_1/pair", "iter_1/train"} <= set(graph.nodes)
    row = lineage_of_run(f"run:tiny@0.1.0/{PAIR}", store)
    assert {"text:p0/en->de", "text:p0/en", "prompt:p0/en", "iter_0/policy"} <= ancestors(row, f"row:{PAIR}")
    with pytest.raises(StoreError, match="has no such run; versions of wax: none"):
        lineage_of_run("run:wax", store)
    with pytest.raises(StoreError, match="is no run; write run:NAME"):
        lineage_of_run("run:", store)
    with pytest.raises(HubError, match=r"no pair 1/p9/x; the first one there is 1/p0/"):
        lineage_of_run("run:tiny@0.1.0/1/p9/x", store)


def test_a_run_in_the_store_says_what_its_recipe_and_its_records_say(tmp_path):
    publish = "  - publish: {{pairs: lidr/lin, policy_license: apache-2.0}}\niterations:"
    text = RECIPE.replace("iterations:", publish, 1).replace("runtime: {{", "runtime: {{push: true, hub: embedded, ")
    ran = lidr.run(write_world(tmp_path / "w", text))
    nodes = lineage_of_run("run:scripted", ran.store).nodes
    assert nodes["datasets/lidr/lin"].lines == (f"lidr {lidr.__version__}",)
    assert [node.lines[0] for node in nodes.values() if node.kind == "model"] == ["policy, licence apache-2.0"]


def test_a_pair_that_is_not_there_and_a_repository_without_records_are_said(names, hub, asked, new_name):
    with pytest.raises(HubError, match=r"no pair 1/p99/x; the first one there is 1/p0/.*A pair is named ITERATION"):
        asked(f"{names[0]}@v0.1.0/1/p99/x")
    foreign = new_name("foreign")
    hub.target.api().create_repo(foreign)
    with pytest.raises(HubError, match=r"is no release of lidr .*nothing is known of its rows"):
        asked(f"{foreign}@main/1/p0/x")


def test_the_command_prints_text_and_json_and_draws(names, asked, tmp_path, capsys):
    assert main(["lineage", f"{names[1]}@v0.1.0", "--svg", str(tmp_path / "l.svg")]) == 0
    out = capsys.readouterr().out
    assert out.index("made from") < out.index(f"{names[0]} (dataset)")
    root = ET.fromstring((tmp_path / "l.svg").read_text())
    links = [a.get("href") or "" for a in root.iter("{http://www.w3.org/2000/svg}a")]
    assert any(
        link.endswith(f"/datasets/{names[0]}/tree/main") or f"/datasets/{names[0]}/tree/" in link for link in links
    )
    assert main(["lineage", f"{names[1]}@v0.1.0", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "lidr.lineage/1"
    ids = {node["id"] for node in answer["nodes"]}
    assert {end for edge in answer["edges"] for end in (edge["source"], edge["target"])} <= ids


def test_no_two_boxes_of_a_drawing_overlap_and_every_box_is_inside(trained):
    graph = lineage_of_run(f"run:tiny@0.1.0/{PAIR}", Store(trained.folder.parents[1]))
    root = ET.fromstring(svg(graph))
    width, height = float(root.get("width") or 0), float(root.get("height") or 0)
    boxes = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("rx")]
    at = [tuple(float(r.get(name) or 0) for name in ("x", "y", "width", "height")) for r in boxes]
    assert len(at) == len(graph.nodes)
    for i, (x, y, w, h) in enumerate(at):
        assert x >= 0 <= y
        assert x + w <= width
        assert y + h <= height
        assert all(x + w <= a or a + c <= x or y + h <= b or b + d <= y for a, b, c, d in at[:i])


def test_nothing_that_a_model_wrote_breaks_the_drawing():
    graph = Graph("a", {"a": Node("a", "text", "<script>&\x00\x15\ud800", ('"]]>', "蜂" * 90))})
    ET.fromstring(svg(graph))
    assert "<script>" not in svg(graph)
    assert short("a\n b " * 40, 20) == "a b a b a b a b a..."


def test_a_circle_in_records_ends():
    graph = Graph("a", {k: Node(k, "step", k) for k in "ab"}, [Edge("a", "b"), Edge("b", "a")])
    assert "b (step)" in graph.text()
    ET.fromstring(svg(graph))


def test_the_card_names_what_the_lineage_names(names, hub, asked):
    card = hub.target.api().model_info(names[1]).card_data
    graph = asked(f"{names[1]}@v0.1.0")
    assert [f"datasets/{name}" for name in card.datasets] == [
        id_ for id_ in graph.before(names[1]) if id_.startswith("datasets/")
    ]


def page(hub, path: str) -> str:
    with urllib.request.urlopen(hub.target.endpoint + path) as answer:
        return str(answer.read().decode())


def test_the_pages_follow_the_lineage_by_click(names, hub):
    text = page(hub, f"/datasets/{names[0]}")
    (tab,) = re.findall(r'href="(/datasets/[^"]*/lineage/main)"', text)
    shown = page(hub, tab)
    assert "<svg" in shown
    assert f'href="/{names[1]}/lineage/main"' in shown
    (made_from,) = re.findall(r"<h3>Made from</h3>(.*?)</section>", shown)
    for said in ("prompts, licence cc0-1.0", "policy, licence apache-2.0", "iter_1/pair</b>: step, "):
        assert said in made_from
    back = page(hub, f"/{names[1]}/lineage/main")
    assert f'href="/datasets/{names[0]}/lineage/main"' in back
    assert "iter_1/train" in back


def pushed_run(hub, repo: str, parents: list[dict], repo_type: str = "dataset", **more: object) -> None:
    """A repository with nothing but a run.json, as another machine's lidr may have pushed it."""
    from huggingface_hub import CommitOperationAdd

    from lidr.hub.client import plain_uploads

    run = {"recipe": "r", "version": "1.0.0", "license": {"id": "mit"}, "parents": parents, "steps": [], **more}
    hub.target.api().create_repo(repo, repo_type=repo_type)
    with plain_uploads(hub.target):
        operations = [CommitOperationAdd("lidr/run.json", json.dumps(run).encode())]
        hub.target.api().create_commit(repo, operations, commit_message="x", repo_type=repo_type)


def test_every_link_of_a_lineage_page_leads_to_a_page_also_of_what_lidr_did_not_make(hub, new_name):
    """A plain model and a plain data set, pairs made from both, a model trained on these; and a release of nonsense."""
    api = hub.target.api()
    model, data, pairs, trained, nonsense = (new_name(name) for name in ("base", "set", "prefs", "trained", "odd"))
    api.create_repo(model)
    api.create_repo(data, repo_type="dataset")
    named = {"policy": (model, api.model_info(model).sha), "pairs": (data, api.dataset_info(data).sha)}
    parents = [{"role": r, "name": name, "revision": sha, "license": "mit"} for r, (name, sha) in named.items()]
    pushed_run(hub, pairs, parents)
    sha = api.dataset_info(pairs).sha
    release = {"datasets": [{"repo": pairs, "sha": sha}]}
    pushed_run(hub, trained, [], "model", release=release)
    pushed_run(hub, nonsense, [{"role": "policy"}])
    paths = [f"/{model}/lineage/main", f"/datasets/{data}/lineage/main"]
    for path in paths:
        shown = page(hub, path)
        assert "not made by lidr" in shown
        for made in (f"/datasets/{pairs}/lineage/main", f"/{trained}/lineage/main"):
            assert f'href="{made}"' in shown
        assert nonsense not in shown
        links = set(re.findall(r'href="(/[^"]*)"', shown)) - {"/lidr/login"}
        assert all(page(hub, link) for link in links)
    assert set(paths) <= set(re.findall(r'href="(/[^"]*)"', page(hub, f"/datasets/{pairs}/lineage/main")))
    alone = new_name("alone")
    api.create_repo(alone)
    assert page(hub, f"/{alone}/lineage/main").count("Nothing that is known here.") == 2


def test_a_page_of_records_that_are_none_says_so(hub, new_name):
    from urllib.error import HTTPError

    from huggingface_hub import CommitOperationAdd

    from lidr.hub.client import plain_uploads

    repo = new_name("broken")
    api = hub.target.api()
    api.create_repo(repo)
    for content, code in ((b"[]", 404), (b"[" * 9000, 404), (b'{"steps": [{"place": 1}]}', 422)):
        with plain_uploads(hub.target):
            api.create_commit(repo, [CommitOperationAdd("lidr/run.json", content)], commit_message="x")
        with pytest.raises(HTTPError) as error:
            page(hub, f"/{repo}/lineage/main")
        with error.value:
            assert error.value.code == code


def test_a_pair_whose_text_is_not_the_candidates_is_not_vouched_for(world, hub, new_name, tmp_path, asked, capsys):
    repo = new_name("forged")
    release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    api, where, path = hub.target.api(), {"repo_id": repo, "repo_type": "dataset"}, "all/iter_1-00000-of-00001.parquet"
    rows = pl.read_parquet(api.hf_hub_download(**where, filename=path, cache_dir=tmp_path / "hub"))
    pair = rows.filter(kind="dominant")["pair_id"][0]
    forged = pl.when(pair_id=pair).then(pl.lit("99 bees")).otherwise("chosen_text")
    rows.with_columns(chosen_text=forged).write_parquet(tmp_path / "rows.parquet")
    with plain_uploads(hub.target):
        api.upload_file(**where, path_in_repo=path, path_or_fileobj=tmp_path / "rows.parquet")
    assert f">v0.1.0</a>: changed since in {path}.</p>" in page(hub, f"/datasets/{repo}")
    assert "changed since" not in page(hub, f"/datasets/{repo}/card/v0.1.0")
    assert main(["lineage", f"{repo}@v0.1.0/{pair}"]) == 0
    assert "not as it was published" not in capsys.readouterr().out
    assert main(["lineage", f"{repo}@main/{pair}"]) == 3
    said = capsys.readouterr()
    assert "p0/en: the pair says '99 bees', the candidate 'bees in English at length.'" in said.out
    assert "p0/en (text): response: 99 bees; another text than the candidate's\n" in said.out
    assert f"{path}: has another content than lidr/manifest.json says" in said.out
    assert "not as it was published: p0/en: the pair says '99 bees'" in said.err

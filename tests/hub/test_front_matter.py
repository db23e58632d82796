import pytest
import yaml

from lidr.errors import HubError
from lidr.hub.front_matter import compose, config_names, read_front_matter, rename_config

OURS = {
    "license": "cc0-1.0",
    "tags": ["lidr"],
    "configs": [{"config_name": "all", "default": True}],
    "lidr": {"configs": ["all"]},
}
FOREIGN = """---
license: mit
license_name: old
foreign: {a: [1, 2]}
tags: [mine, lidr]
configs:
- {config_name: all, data_files: old}
- {config_name: theirs, data_files: x, default: true}
- {config_name: en-xx, data_files: y}
lidr: {configs: [all, en-xx]}
---

Above.

<!-- lidr:begin: old -->
old text
<!-- lidr:end -->

Below.
"""


def test_over_a_foreign_card_only_what_is_ours_changes():
    metadata, body = read_front_matter(compose(OURS, "new text", FOREIGN))
    assert metadata["license"] == "cc0-1.0"
    assert "license_name" not in metadata
    assert metadata["foreign"] == {"a": [1, 2]}
    assert metadata["tags"] == ["lidr", "mine"]
    # theirs stays, but there is one default; a configuration that we wrote and no longer write is gone
    assert metadata["configs"] == [OURS["configs"][0], {"config_name": "theirs", "data_files": "x"}]
    assert body.index("Above.") < body.index("new text") < body.index("Below.")
    assert "old text" not in body


def test_a_card_without_markers_keeps_its_text_below_ours():
    card = compose(OURS, "new text", "# By hand\n\nWords.\n")
    assert card.index("new text") < card.index("# By hand")


@pytest.mark.parametrize("existing", [None, "", FOREIGN, "# By hand\n", "---\n---\n", "---\r\na: 1\r\n---\r\ntext"])
def test_composing_again_changes_nothing(existing):
    once = compose(OURS, "text", existing)
    assert compose(OURS, "text", once) == once
    assert yaml.safe_load(once.split("---\n")[1])["license"] == "cc0-1.0"


@pytest.mark.parametrize(
    "broken", ["---\na: [\n---\n", "---\n- 1\n---\n", f"---\na: {'[' * 5000}\n---\n", "---\na: 2024-13-45\n---\n"]
)
def test_broken_metadata_that_is_there_is_an_error_not_lost(broken):
    with pytest.raises(HubError, match="mend or remove"):
        compose(OURS, "text", broken)


def test_a_configuration_gets_another_name_wherever_it_is_named():
    configs = "configs: [{config_name: default, data_dir: x}, {config_name: b}]"
    card = f"---\n{configs}\ndataset_info: {{features: []}}\n---\nText.\n"
    metadata, body = read_front_matter(
        rename_config(card, "default", "old", note="It is `old`.", files={"train": ["y"]})
    )
    assert metadata["configs"] == [{"config_name": "old", "data_dir": "x"}, {"config_name": "b"}]
    assert metadata["dataset_info"] == {"config_name": "old", "features": []}
    assert body == "\nText.\n\nIt is `old`.\n"
    metadata, _ = read_front_matter(rename_config("", "default", "old", note="n", files={"train": ["y"]}))
    assert metadata["configs"] == [{"config_name": "old", "data_files": [{"split": "train", "path": ["y"]}]}]


def test_configurations_that_are_there_and_those_of_an_earlier_release():
    assert config_names(FOREIGN) == (["all", "theirs", "en-xx"], ["all", "en-xx"])
    assert config_names(None) == ([], [])


@pytest.mark.parametrize("configs", ["[foo]", "{config_name: x}", "[{data_files: x}]"])
def test_configs_that_are_none_are_an_error_not_lost(configs):
    with pytest.raises(HubError, match=r"configs that are none .* mend or remove"):
        config_names(f"---\nconfigs: {configs}\n---\n")

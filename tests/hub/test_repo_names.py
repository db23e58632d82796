import pytest

from lidr.errors import HubError
from lidr.hub.repo_names import check_config, check_repo, check_split, check_tag


@pytest.mark.parametrize("name", ["lidr/quickstart-prefs", "a/b", "Org_1/x.y-z", "_a/b_"])
def test_a_name_that_a_hub_accepts_passes(name):
    check_repo(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickstart", "org/name"),
        ("a/b/c", "org/name"),
        ("datasets/org/x", "org/name"),
        ("org/a--b", "--"),
        ("org/a..b", r"\.\."),
        ("org/x.git", r"\.git"),
        ("org/-x", "neither first nor last"),
        ("org/x.", "neither first nor last"),
        ("org/ü", "letters"),
        ("org/a b", "letters"),
        ("org/", "letters"),
        ("org/" + "x" * 93, "97 characters"),
        ("org/x\0", "letters"),
        ("org/../etc", "org/name"),
    ],
)
def test_a_name_that_a_hub_refuses_is_refused_with_its_rule(name, said):
    with pytest.raises(HubError, match=said):
        check_repo(name)


def test_our_rule_is_not_looser_than_the_clients():
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    for name in (
        "a/b",
        "a.b/c-d_e",
        "x/1",
        "_a/b",
        "a/b_",
        "a/b.",
        "a/.b",
        "a/b-",
        "a/-b",
        "a/b--c",
        "a/b.git",
        "a/" + "b" * 95,
    ):
        try:
            validate_repo_id(name)
        except HFValidationError:
            with pytest.raises(HubError):
                check_repo(name)


@pytest.mark.parametrize("config", ["data", "en/de", "", "a b"])
def test_a_configuration_that_would_break_loading_is_refused(config):
    with pytest.raises(HubError):
        check_config(config)


def test_splits_and_tags_have_one_form():
    check_split("iter_1")
    check_tag("v0.1.0")
    with pytest.raises(HubError, match="iter-1"):
        check_split("iter-1")
    for tag in ("0.1.0", "main", "v1", "v1.0.0/x", "v1.0.0..1"):
        with pytest.raises(HubError):
            check_tag(tag)


def test_a_refused_configuration_split_or_release_is_told_its_form():
    with pytest.raises(HubError, match=r'^"en/de" cannot be a configuration: letters, digits, - _ \. are allowed'):
        check_config("en/de")
    with pytest.raises(HubError, match=r'^"iter-1" cannot be a split: letters, digits and _ are allowed, dots between'):
        check_split("iter-1")
    with pytest.raises(HubError, match=r'^"main" cannot be a release: it is v and the recipe\'s version, as v0\.1\.0$'):
        check_tag("main")

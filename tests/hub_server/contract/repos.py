"""Repositories as a whole."""

from __future__ import annotations

from huggingface_hub import RepoUrl
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from tests.hub_server.contract.world import World, raises


def whoami_names_the_holder_of_the_token(w: World) -> None:
    who = w.api.whoami()
    assert who["type"] == "user"
    assert isinstance(who["name"], str)
    assert isinstance(who["orgs"], list)


def whoami_refuses_an_unknown_token(w: World) -> None:
    with raises(HfHubHTTPError, status=401):
        w.api.whoami(token="hf_unknown")


def a_model_repository_is_created(w: World) -> None:
    url = w.api.create_repo(w.remember("model"), private=True)
    assert isinstance(url, RepoUrl)
    assert (url.repo_id, url.repo_type) == (w.id("model"), "model")


def creating_it_again_is_a_conflict(w: World) -> None:
    with raises(HfHubHTTPError, status=409):
        w.api.create_repo(w.id("model"))


def creating_it_again_may_be_allowed(w: World) -> None:
    assert w.api.create_repo(w.id("model"), exist_ok=True).repo_id == w.id("model")


def a_dataset_may_have_the_name_of_a_model(w: World) -> None:
    url = w.api.create_repo(w.remember("model", "dataset"), repo_type="dataset", private=True)
    assert url.repo_type == "dataset"


def an_unknown_token_creates_nothing(w: World) -> None:
    with raises(HfHubHTTPError, status=401):
        w.api.create_repo(w.id("stranger"), token="hf_unknown")
    assert not w.api.repo_exists(w.id("stranger"))


def a_name_that_is_none_is_refused_by_the_client(w: World) -> None:
    with raises(HFValidationError):
        w.api.repo_info(f"{w.namespace}/a--b")


def a_repository_exists_or_not(w: World) -> None:
    assert w.api.repo_exists(w.id("model"))
    assert not w.api.repo_exists(w.id("nowhere"))


def information_of_a_model(w: World) -> None:
    info = w.api.model_info(w.id("model"))
    assert info.id == w.id("model")
    assert info.author == w.namespace
    assert info.private is True
    assert len(info.sha) == 40
    assert info.created_at is not None
    assert [sibling.rfilename for sibling in info.siblings] == [".gitattributes"]


def information_of_a_dataset(w: World) -> None:
    assert w.api.dataset_info(w.id("model")).id == w.id("model")


def a_missing_repository_raises_its_own_error(w: World) -> None:
    with raises(RepositoryNotFoundError):
        w.api.repo_info(w.id("nowhere"), repo_type="dataset")


def a_private_repository_is_not_there_for_strangers(w: World) -> None:
    with raises(RepositoryNotFoundError):
        w.api.model_info(w.id("model"), token=False)


def a_private_file_is_not_there_for_strangers(w: World) -> None:
    with raises(RepositoryNotFoundError):
        w.api.get_paths_info(w.id("model"), [".gitattributes"], token=False)


def the_owner_may_read_and_write(w: World) -> None:
    w.api.auth_check(w.id("model"))
    w.api.auth_check(w.id("model"), write=True)


def a_repository_becomes_public(w: World) -> None:
    w.api.update_repo_settings(w.id("model"), private=False)
    assert w.api.model_info(w.id("model"), token=False).private is False


def a_card_gives_the_tags(w: World) -> None:
    card = b"---\nlicense: apache-2.0\ntags: [lidr-contract]\nlanguage: [en, es]\nlibrary_name: peft\n---\n# A model\n"
    w.api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=w.id("model"))
    info = w.api.model_info(w.id("model"))
    assert {"lidr-contract", "license:apache-2.0"} <= set(info.tags)
    assert info.card_data.license == "apache-2.0"
    assert info.library_name == "peft"


def models_are_listed_by_author_and_name(w: World) -> None:
    found = [model.id for model in w.api.list_models(author=w.namespace, search=w.id("model").split("/")[1])]
    assert found == [w.id("model")]


def datasets_are_listed_by_author_and_name(w: World) -> None:
    found = [item.id for item in w.api.list_datasets(author=w.namespace, search=w.id("model").split("/")[1])]
    assert found == [w.id("model")]


def a_repository_moves(w: World) -> None:
    w.api.move_repo(w.id("model"), w.remember("moved"))
    assert w.api.model_info(w.id("moved")).id == w.id("moved")


def a_repository_is_deleted(w: World) -> None:
    w.api.delete_repo(w.id("moved"))
    assert not w.api.repo_exists(w.id("moved"))
    assert w.api.repo_exists(w.id("model"), repo_type="dataset")


def deleting_what_is_not_there(w: World) -> None:
    with raises(RepositoryNotFoundError):
        w.api.delete_repo(w.id("nowhere"))
    w.api.delete_repo(w.id("nowhere"), missing_ok=True)

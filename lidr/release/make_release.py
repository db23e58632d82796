"""Everything that one release publishes: the pairs, the policy that learned from them, and what ties them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lidr.errors import HubError
from lidr.hub import Patience, Target, check_config, check_repo, is_client_error, plain_uploads, without_secrets
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished
from lidr.release.model_release import stage_model
from lidr.release.publish_staged import Published, publish
from lidr.release.staging import Staged, stage_folder

Say = Callable[[str], None]


@dataclass(frozen=True)
class Destinations:
    """What goes where.

    Args:
        pairs: data set repository, or None.
        policy: model repository, or None.
        private: whether a repository that is made now is private.
        adapter_only: publish the LoRA adapter, not the merged model.
        rename_default: the name that a configuration `default` of others is to have beside the pairs.
    """

    pairs: str | None
    policy: str | None
    private: bool = False
    adapter_only: bool = False
    rename_default: str | None = None

    def check(self) -> None:
        """Refuse names before anything is computed.

        Raises:
            HubError: nothing to publish, or a name that a Hub refuses.
        """
        if not (self.pairs or self.policy):
            raise HubError("nothing to publish: name a repository, --pairs org/name or --policy org/name")
        for repo in (self.pairs, self.policy):
            if repo is not None:
                check_repo(repo)
        if self.rename_default is not None:
            check_config(self.rename_default)
            if not self.pairs:
                raise HubError("--rename-default is about a data set repository: name one, --pairs org/name")


@contextmanager
def staged(
    run: Finished, to: Destinations, datasets: tuple[tuple[str, str], ...] = (), *, what: str
) -> Iterator[Staged]:
    """Stage `pairs` or `policy` in a folder that is gone afterwards."""
    siblings = {role: repo for role, repo in (("pairs", to.pairs), ("policy", to.policy)) if repo}
    with stage_folder() as folder:
        if what == "pairs":
            yield stage_dataset(run, folder, to.pairs or "", siblings=siblings)
        else:
            yield stage_model(
                run, folder, to.policy or "", adapter_only=to.adapter_only, datasets=datasets, siblings=siblings
            )


def release(
    run: Finished, to: Destinations, *, target: Target, patience: Patience | None = None, say: Say = lambda text: None
) -> tuple[Published, ...]:
    """Publish the pairs, then the policy of each iteration with the commit of the pairs in its card; a collection last.

    Raises:
        HubError: something was refused; what was published before stays, and the same call goes on from there.
        StoreError: a file of the run is damaged; nothing is published.
    """
    to.check()
    run.verify(with_policies=to.policy is not None)
    published: list[Published] = []
    if to.pairs:
        with staged(run, to, what="pairs") as files:
            made = publish(
                files,
                to.pairs,
                target=target,
                private=to.private,
                patience=patience,
                rename_default=to.rename_default,
            )
            published.append(made)
    if to.policy:
        datasets = tuple((found.repo, found.sha) for found in published)
        for part in (*(run.up_to(k) for k in run.iterations[:-1]), run):  # the last one ends up on the main branch
            with staged(part, to, datasets, what="policy") as files:
                published.append(publish(files, to.policy, target=target, private=to.private, patience=patience))
    _collect(run, published, target, private=to.private, say=say)
    return tuple(published)


def _collect(run: Finished, published: list[Published], target: Target, *, private: bool, say: Say) -> None:
    """Put everything of the release into one collection. The release is complete without it, so nothing fails here."""
    if all(found.state == "already there" for found in published):
        return
    last = {(found.repo, found.repo_type): f"{found.tag}: {found.sha}" for found in published}
    items = [(*what, note) for what, note in last.items()]
    base = run.base_model
    if base is not None:
        items.append((base.repo, "model", "where the policy started from"))
    api = target.api()
    try:
        with plain_uploads(target):
            namespace = published[0].repo.split("/")[0]
            collection = api.create_collection(
                title=run.recipe.name, namespace=namespace, private=private, exists_ok=True
            )
            for repo, kind, note in items:
                api.add_collection_item(collection.slug, item_id=repo, item_type=kind, note=note, exists_ok=True)  # type: ignore[arg-type]
    except Exception as error:
        if not is_client_error(error):
            raise
        say(f"published, but without its collection: {without_secrets(str(error), target.token)}")

"""Cards: a pure rendering of a run's records. The text is in hub_cards/*.md.jinja, the metadata is made here.

The same run gives the same card. Over an existing card, metadata and text that are not ours stay (`front_matter`).
"""

from __future__ import annotations

from typing import Any

from lidr.analysis import aside_sentences
from lidr.hub import compose
from lidr.language_tags import base_code, read_tag
from lidr.languages import LANGUAGES
from lidr.references import repository_of
from lidr.release.cards.card_tables import (
    adapted_sentence,
    counts_table,
    drops_table,
    groups_table,
    markdown_table,
    parents_table,
    pins_table,
    plain_translations,
    prompts_sentence,
    sample_block,
    settings_table,
    slots_sentence,
    template_sentence,
    thoughts_sentence,
    training_table,
)
from lidr.release.cards.finding_tables import gates_section, measurements_section
from lidr.release.cards.rendering_rules import card_rules
from lidr.release.cards.sample_texts import sample_section
from lidr.release.cards.score_tables import model_index, results_section
from lidr.release.finished import Finished
from lidr.release.llama_factory import llama_factory_name
from lidr.release.parents import HUB, Licence
from lidr.release.staging import DatasetFiles
from lidr.resources import shared

_TAGS = ["lidr", "preference", "dpo", "multilingual"]
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(run: Finished, repo: str, files: DatasetFiles, digest: str, existing: str | None = None) -> str:
    """README.md of a data set release, over the one that is there."""
    pairs = sum(file.rows for file in files.rows if file.config == "all")
    prompts = sum(record.counts["prompts"] for record in run.records if record.writes == "prompts")
    base = run.base_model
    loaded = files.splits("all") if card_rules(run) > 1 else files.splits("all")[-1:]
    body = _render(
        "dataset.md.jinja",
        **_common(run, repo),
        pairs=f"{pairs:,}",
        prompts=f"{prompts:,}",
        counts=counts_table(run),
        drops=drops_table(run),
        slots=slots_sentence(run),
        translated_prompts=prompts_sentence(run) if card_rules(run) > 1 else "",
        configs=", ".join(f"`{config}`" for config in files.configs),
        splits=", ".join(f"`{split}`" for split in files.splits("all")),
        kinds=_kinds(run),
        thoughts=thoughts_sentence(run),
        asked=" ".join(filter(None, (template_sentence(run, is_pairs=True), plain_translations(run)))),
        split="+".join(loaded),
        axolotl_splits=loaded,
        start_model=base.repo if base else "path/to/your-model",
        llama_factory=",".join(llama_factory_name(repo, "all", split) for split in files.splits("all")),
        rules=card_rules(run),
        samples=[(config, sample_block(row)) for config, row in files.samples.items()],
        sample_section=sample_section(files.samples),
        pins=pins_table(run),
        judged="",
    )
    return compose(_dataset_metadata(run, files, pairs, digest), body, existing)


def model_card(
    run: Finished,
    repo: str,
    datasets: tuple[tuple[str, str], ...],
    digest: str,
    existing: str | None = None,
    *,
    adapter_only: bool = False,
) -> str:
    """README.md of a model release, over the one that is there."""
    trained = run.trainings()
    body = _render(
        "model.md.jinja",
        **_common(run, repo) | {"iterations": len({record.iteration for record in trained})},
        what=_what(run, adapter_only),
        pairs=f"{sum(record.counts['pairs'] for record in trained):,}",
        asked=template_sentence(run, is_pairs=False),
        loading=_model_loading(repo, run.tag, adapter_only),
        pins=_model_pins(run, datasets),
        training=training_table(trained),
        adapted="\n\n".join(filter(None, (adapted_sentence(trained), *aside_sentences(trained)))),
        groups=groups_table(trained),
        rules=card_rules(run),
        results=results_section(run),
        reproduce=_reproduce(run, repo),
    )
    return compose(_model_metadata(run, repo, datasets, digest, adapter_only), body, existing)


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(shared("hub_cards"))
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.get_template(template).render(**values)


def _common(run: Finished, repo: str) -> dict[str, Any]:
    languages = run.recipe.languages
    names = [LANGUAGES[code].name for code in languages.all]
    return {
        "name": repo.split("/")[-1],
        "repo": repo,
        "tag": run.tag,
        "dominant": LANGUAGES[languages.dominant].name,
        "languages": f"{', '.join(names[:-1])} and {names[-1]}",
        "iterations": len(run.iterations),
        "mixture": _mixture(run),
        "pair_weights": _pair_weights(run),
        "scorer": _scorer(run),
        "settings": settings_table(run),
        "recipe_sha256": run.recipe_sha256,
        "premise": measurements_section(run),
        "gates": gates_section(run),
        "licence": run.licence.identifier,
        "licence_reason": run.licence.reason,
        "parents": parents_table(run.parents),
    }


def _kinds(run: Finished) -> str:
    """What is preferred to what, of the kinds of pairs that there are; cards of older rules name both."""
    dominant = LANGUAGES[run.recipe.languages.dominant].name
    said = {
        "dominant": f"in {dominant} its own answer is preferred to the answers translated into {dominant}",
        "non_dominant": f"in each other language the translated {dominant} answer is preferred to its own",
        "sampled": "Chosen is the answer that the scorer values more, rejected another answer of the policy",
    }
    written = [run.written("pairs", k).record for k in run.iterations]
    there = {row["kind"] for record in written for row in record.counts["kept"] if row["count"]}
    both = ("dominant", "non_dominant") if card_rules(run) == 1 else ()
    sentence = "; ".join(text for kind, text in said.items() if kind in there or kind in both)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _scorer(run: Finished) -> str:
    """What pairs of two answers were chosen by; empty where there are none."""
    if not run.recipe.are_pairs_sampled:
        return ""
    named = (step.config.by for step in run.recipe.chain if step.name == "pair")
    given = (name for step in run.recipe.chain if step.name == "score" for name in step.config.given)
    return next((by for by in named if by), next(given, ""))


def _mixture(run: Finished) -> str:
    """The sets that a run which starts from pairs has read, in words; empty for any other."""
    links = [f"[{p.name}]({p.link})" if p.link else f"`{p.name}`" for p in run.pair_sets]
    return f"{', '.join(links[:-1])} and {links[-1]}" if len(links) > 1 else "".join(links)


def _pair_weights(run: Finished) -> str:
    """Of a run that starts from pairs, what the column `weight` is; empty where its pairs have none."""
    sets = [one for record in run.records if record.step == "pairs" for one in record.counts["sets"]]
    if not any(one.get("pair_weights") for one in sets):
        return ""
    plain = dict.fromkeys(f"`{one['name']}`" for one in sets if not one.get("pair_weights"))
    rest = f"; those of {', '.join(plain)} count 1" if plain else ""
    return (
        f"The column `weight` says how much a pair counts in training, as its set says it{rest}. Training with lidr "
        "counts by it; TRL does not read it."
    )


def _licence_metadata(licence: Licence) -> dict[str, str]:
    found = {"license": licence.identifier}
    if licence.identifier == "other":
        found |= {"license_name": licence.name or "see-attribution", "license_link": licence.link or "LICENSE.md"}
    return found


def _dataset_metadata(run: Finished, files: DatasetFiles, pairs: int, digest: str) -> dict[str, Any]:
    is_later = card_rules(run) > 1
    return {
        "pretty_name": f"{run.recipe.name} preference pairs",
        **_licence_metadata(run.licence),
        "language": [base_code(code) for code in run.recipe.languages.all],
        **_language_details(run),
        "task_categories": ["text-generation"],
        "tags": [*_TAGS, "synthetic", *(["trl"] if is_later else [])],
        "size_categories": [next((name for limit, name in _SIZES if pairs < limit), "n>1M")],
        "annotations_creators": ["machine-generated"],
        **({"language_creators": ["machine-generated"], "source_datasets": source_datasets(run)} if is_later else {}),
        "multilinguality": ["multilingual"],
        "configs": [_config(config, files, is_default=config == "all") for config in files.configs],
        "lidr": {**_block(run, digest), "configs": list(files.configs)},
    }


def source_datasets(run: Finished) -> list[str]:
    """The data sets of a Hub that a release was made from, else `original`."""
    found = (repository_of({"role": p.role, "name": p.name, "revision": p.revision}) for p in run.parents)
    names = [name.removeprefix("datasets/") for name in found if name and name.startswith("datasets/")]
    return list(dict.fromkeys(names)) or ["original"]


def _language_details(run: Finished) -> dict[str, str]:
    """Tags with a script or region that sets wrote for the recipe's languages."""
    sets = [one for record in run.records if record.step == "pairs" for one in record.counts["sets"]]
    read = {read_tag(value) for one in sets for value in one.get("language_tags", ())}
    tags = sorted(tag for tag in read if tag is not None and tag != base_code(tag))
    return {"language_details": ", ".join(tags)} if tags else {}


def _config(config: str, files: DatasetFiles, *, is_default: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "config_name": config,
        "data_files": [{"split": s, "path": f"{config}/{s}-*.parquet"} for s in files.splits(config)],
    }
    return {**entry, "default": True} if is_default else entry


def _block(run: Finished, digest: str) -> dict[str, Any]:
    """What machines read: never a place, never a time."""
    return {
        "schema": 1,
        "recipe": run.recipe.name,
        "version": run.recipe.version,
        "recipe_sha256": run.recipe_sha256,
        "content_digest": digest,
    }


def _model_metadata(
    run: Finished, repo: str, datasets: tuple[tuple[str, str], ...], digest: str, adapter_only: bool
) -> dict[str, Any]:
    base = run.base_model
    metadata: dict[str, Any] = {
        "library_name": "peft" if adapter_only else "transformers",
        "pipeline_tag": "text-generation",
        **_licence_metadata(run.licence),
        "language": [base_code(code) for code in run.recipe.languages.all],
        **_language_details(run),
        "tags": [*_TAGS, "trl"],
    }
    if base is not None:
        metadata |= {"base_model": base.repo, "base_model_relation": "adapter" if adapter_only else "finetune"}
    sets = (repository_of({"role": p.role, "name": p.name, "revision": p.revision}) for p in run.pair_sets)
    learned = [*(data for data, _ in datasets), *(repo.removeprefix("datasets/") for repo in sets if repo)]
    if learned:
        metadata["datasets"] = list(dict.fromkeys(learned))
    records = f"{HUB}/{repo}/tree/{run.tag}/lidr/records"
    return {**metadata, **model_index(run, repo.split("/")[-1], records), "lidr": _block(run, digest)}


def _what(run: Finished, adapter_only: bool) -> str:
    parent = run.parents[-1]
    name = f"[{parent.name}]({parent.link})" if parent.link else f"`{parent.name}`"
    return f"A LoRA adapter for {name}" if adapter_only else f"A policy that starts from {name}"


def _model_loading(repo: str, tag: str, adapter_only: bool) -> str:
    kind, module = ("AutoPeftModelForCausalLM", "peft") if adapter_only else ("AutoModelForCausalLM", "transformers")
    imports = f"from {module} import {kind}\nfrom transformers import AutoTokenizer"
    if not adapter_only:
        imports = f"from transformers import {kind}, AutoTokenizer"
    return (
        f'{imports}\n\npolicy = {kind}.from_pretrained("{repo}", revision="{tag}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{repo}", revision="{tag}")'
    )


def _model_pins(run: Finished, datasets: tuple[tuple[str, str], ...]) -> str:
    data = [(f"pairs `{repo}`", f"`{sha}`") for repo, sha in datasets]
    return f"{markdown_table(('data', 'commit'), data)}\n\n{pins_table(run)}" if data else pins_table(run)


def _reproduce(run: Finished, repo: str) -> str:
    return f"lidr reproduce {repo}@{run.tag}"

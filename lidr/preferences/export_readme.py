"""The README of an export: how to train on it, what it is made of, whose it is."""

from __future__ import annotations

from typing import Any

import yaml

from lidr.hub import compose
from lidr.preferences.pair_source import PairSource
from lidr.preferences.query import PairQuery
from lidr.preferences.read_pairs import Census, unread_said
from lidr.release.cards import markdown_table, parents_table

_HOW = {
    "trl": """\
```python
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

pairs = load_dataset("parquet", data_files="pairs.parquet", split="train")
DPOTrainer("path/to/your-model", args=DPOConfig("policy"), train_dataset=pairs).train()
```""",
    "axolotl": "`axolotl.yaml` holds the lines `rl` and `datasets` of a configuration; run axolotl in this folder.",
    "open-instruct": """\
```sh
python open_instruct/dpo.py --mixer_list pairs.jsonl 1.0 --model_name_or_path path/to/your-model
```""",
    "jsonl": "One JSON object a line, with every column of a pair.",
}


def readme(source: PairSource, wanted: PairQuery, to: str, file: str, name: str, rows: int, counted: Census) -> str:
    """README.md, with the metadata by which `datasets` loads the folder.

    Args:
        file: the file of rows.
        name: what the trainer calls the set.
        rows: how many there are.
        counted: what they were counted from.
    """
    licence = source.licence
    metadata: dict[str, Any] = {"license": licence.identifier}
    if licence.identifier == "other":
        metadata |= {"license_name": licence.name, "license_link": licence.link}
    languages = sorted({str(row["texts"]) for row in counted.wanted if row["texts"]})
    metadata |= {"language": languages, "tags": ["preference", "dpo"]}
    metadata["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}]
    return compose(metadata, "\n\n".join(_parts(source, wanted, to, name, rows, counted)), None)


def _parts(source: PairSource, wanted: PairQuery, to: str, name: str, rows: int, counted: Census) -> list[str]:
    at = f", commit `{source.revision}`" if source.revision and len(source.revision) == 40 else ""
    columns = ("iteration", "language", "kind", "pairs")
    cells = [tuple(str(row[column]) for column in columns) for row in counted.wanted]
    return [
        f"# {rows:,} preference pairs of {source.name}",
        f"Exported by `lidr pairs export` for {to} from `{source.name}`{at}. {_asked(wanted, counted)}",
        _llama_factory(name) if to == "llama-factory" else _HOW[to],
        markdown_table(columns, cells),
        "## Licence and attribution",
        f"`{source.licence.identifier}`: {source.licence.reason}. Keep this section with every copy.",
        parents_table(source.parents),
    ]


def _llama_factory(name: str) -> str:
    settings = {"stage": "dpo", "dataset_dir": ".", "dataset": name}
    lines = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000)
    return f"```yaml\n{lines}```\n\n`dataset_dir` is this folder: it holds dataset_info.json."


def _asked(wanted: PairQuery, counted: Census) -> str:
    said = {
        "languages": wanted.languages,
        "kinds": wanted.kinds,
        "iterations": wanted.iterations,
        "margins of at least": () if wanted.min_margin is None else (wanted.min_margin,),
    }
    parts = [f"{what} {', '.join(map(str, values))}" for what, values in said.items() if values]
    whole = "All of its rows that can be read as pairs." if counted.unread else "All of its pairs."
    asked = f"Only {'; '.join(parts)}." if parts else whole
    return f"{asked} {unread_said(counted.unread)}." if counted.unread else asked

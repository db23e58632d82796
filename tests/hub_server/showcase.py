"""A Hub with something to look at: pairs in five scripts, dropped rows, a card, releases.

python -m tests.hub_server.showcase DIR      # serves it until Enter
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from lidr.hub_server import Hub, serve_in_background
from lidr.release.candidates import Candidate
from lidr.rows import Dropped, Pair
from tests.hub_server.raw import client, commit, create, file

EVIL = '<script>document.title="pwned"</script><img src=x onerror=alert(1)> & "quotes"'
_BEES = {
    "en": (
        "Why do bees make honey? Explain it to a child.",
        "Bees make honey so that they have something to eat in winter.\n\n"
        "1. In summer they collect nectar from flowers.\n"
        "2. In the hive they fan it with their wings until it is thick.\n"
        "3. In winter, when nothing blooms, they eat it.",
        "Bees make honey because honey is made by bees. Honey is sweet. Honey is made by bees.",
    ),
    "es": (
        "¿Por qué hacen miel las abejas? Explícaselo a un niño.",
        "Las abejas hacen miel para tener comida en invierno.\n\n1. En verano recogen néctar de las flores.\n"
        "2. En la colmena lo ventilan con las alas hasta que espesa.\n"
        "3. En invierno, cuando nada florece, se lo comen.",
        "Las abejas hacen miel porque la miel es de las abejas y es dulce y es de las abejas.",
    ),
    "ar": (
        "لماذا يصنع النحل العسل؟ اشرح ذلك لطفل.",
        "يصنع النحل العسل ليكون له طعام في الشتاء.\n\n1. في الصيف يجمع الرحيق من الأزهار.\n"
        "2. في الخلية يهوّيه بأجنحته حتى يصير كثيفًا.\n3. وفي الشتاء، حين لا يزهر شيء، يأكله.",
        "النحل يصنع العسل لأن العسل من النحل، والعسل حلو.",
    ),
    "ja": (
        "ミツバチはなぜ蜂蜜を作るのですか。子どもに説明してください。",
        "ミツバチは、冬に食べるものがあるように蜂蜜を作ります。\n\n1. 夏に花から蜜を集めます。\n"
        "2. 巣の中で羽であおいで、とろりとさせます。\n3. 花のない冬に、それを食べます。",
        "ミツバチは蜂蜜を作ります。蜂蜜は甘いです。蜂蜜はミツバチが作ります。",
    ),
    "ru": (
        "Почему пчёлы делают мёд? Объясни ребёнку.",
        "Пчёлы делают мёд, чтобы зимой у них была еда.\n\n1. Летом они собирают нектар с цветов.\n"
        "2. В улье обдувают его крыльями, пока он не загустеет.\n3. Зимой, когда ничего не цветёт, они его едят.",
        "Пчёлы делают мёд, потому что мёд делают пчёлы. Мёд сладкий.",
    ),
}
_CARD = """---
license: cc0-1.0
language: [en, es, ar, ja, ru]
tags: [lidr, preference, dpo, multilingual]
task_categories: [text-generation]
configs:
- config_name: all
  default: true
  data_files: [{split: iter_1, path: all/iter_1-*.parquet}, {split: iter_2, path: all/iter_2-*.parquet}]
- config_name: candidates
  data_files: [{split: iter_1, path: candidates/iter_1-*.parquet}]
- config_name: dropped
  data_files: [{split: iter_1, path: dropped/iter_1-*.parquet}]
---
# Preference pairs about bees

<!-- lidr: written by hand from here -->
Pairs that a small model made **by itself** from the gap between its dominant language and the others.
HTML like <b>this</b> and <script>alert(1)</script> stays text, and [this](javascript:alert(1)) is no link.

| language | pairs | dropped |
|---|---:|---:|
| Spanish | 4 | 1 |
| Arabic | 4 | 1 |
| Japanese | 4 | 1 |

## How to load it

```python
from datasets import load_dataset

pairs = load_dataset("lidr/bees-prefs", "all", split="iter_1")
```

The [recipe](lidr/recipe.yaml) is beside it.
"""


def publish(hub: Hub) -> str:
    """Publish the showcase; returns the repository's name in the API."""
    with client(hub) as session:
        repo = create(session, "lidr/bees-prefs")
        pairs = [file(f"all/iter_{k}-00000-of-00001.parquet", _parquet(_pairs(k), Pair.schema)) for k in (1, 2)]
        dropped = file("dropped/iter_1-00000-of-00001.parquet", _parquet(_dropped(), Dropped.schema))
        made = file("candidates/iter_1-00000-of-00001.parquet", _parquet(_candidates(), Candidate.schema))
        recipe = file("lidr/recipe.yaml", b"schema: 1\nname: bees\nversion: 0.1.0\n")
        readme = file("README.md", _CARD.encode())
        commit(session, repo, *pairs, dropped, made, recipe, readme, summary="bees 0.1.0").raise_for_status()
        session.post(f"/api/{repo}/tag/main", json={"tag": "v0.1.0"}).raise_for_status()
        _model(session)
    return repo


def _model(session: httpx.Client) -> None:
    session.post("/api/repos/create", json={"type": "model", "organization": "lidr", "name": "bees"}).raise_for_status()
    card = b"---\nlicense: apache-2.0\nbase_model: lidr/tiny\nlibrary_name: peft\n---\n# The policy\n"
    commit(session, "models/lidr/bees", file("README.md", card), summary="bees 0.1.0").raise_for_status()
    made = session.post("/api/collections", json={"title": "Bees 0.1.0", "description": "One release"}).json()
    for kind, id_ in (("dataset", "lidr/bees-prefs"), ("model", "lidr/bees")):
        session.post(
            f"/api/collections/{made['slug']}/items", json={"item": {"type": kind, "id": id_}}
        ).raise_for_status()


def _parquet(rows: list[dict], schema: pa.Schema) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    return buffer.getvalue()


def _pairs(iteration: int) -> list[dict]:
    others = [language for language in _BEES if language != "en"]
    rows = [_pair(i, other, kind, iteration) for i, other in enumerate(others) for kind in ("non_dominant", "dominant")]
    evil = _pair(9, "es", "non_dominant", iteration)
    evil |= {"prompt_text": EVIL, "chosen_text": EVIL, "rejected_text": EVIL, "pair_id": EVIL, "policy_in": EVIL}
    return [*rows, *([evil] if iteration == 2 else [])]


def _pair(i: int, other: str, kind: str, iteration: int) -> dict:
    language = other if kind == "non_dominant" else "en"
    prompt, chosen, rejected = _BEES[language]
    return {
        "pair_id": f"bees-{i}/{other}/{kind}/{iteration}",
        "prompt_id": f"bees-{i}",
        "language": language,
        "other_language": other if kind == "dominant" else "en",
        "kind": kind,
        "iteration": iteration,
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "prompt_text": prompt,
        "chosen_text": chosen,
        "rejected_text": rejected,
        "chosen_key": "en" if kind == "dominant" else f"en->{other}",
        "rejected_key": other if kind == "non_dominant" else f"{other}->en",
        "score_chosen": 0.91 - i / 100,
        "score_rejected": 0.32 + i / 100,
        "margin": 0.59 - i / 50,
    }


def _candidates() -> list[dict]:
    """An answer and a cut translation for each of the languages."""
    rows = []
    for i, code in enumerate(language for language in _BEES if language != "en"):
        row = {"prompt_id": f"bees-{i}", "iteration": 1, "language": code}
        rows.append({**row, "kind": "response", "text": _BEES[code][2], "status": "ok"})
        rows.append({**row, "kind": "translation", "source": "en", "text": _BEES[code][1], "status": "truncated"})
    return rows


def _dropped() -> list[dict]:
    reasons = ("truncated", "repetition", "wrong_language")
    base = {"kind": "non_dominant", "iteration": 1, "step": "pair", "language": "en"}
    return [
        {
            **base,
            "prompt_id": f"bees-{i}",
            "other_language": other,
            "reason": reasons[i % 3],
            "detail": f"{EVIL if i == 0 else i}",
        }
        for i, other in enumerate(("es", "ar", "ja", "ru"))
    ]


if __name__ == "__main__":
    with serve_in_background(Path(sys.argv[1])) as running:
        publish(running)
        input(f"{running.url}/datasets/lidr/bees-prefs  -- Enter ends ")

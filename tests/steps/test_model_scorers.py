"""Scorers that ask a model, against what the same model says in this process."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

import lidr
from lidr.errors import EngineError, EvaluationError
from lidr.transforms import chrf
from tests.engines.server import Server, completion
from tests.evals.judge.answers import user_text
from tests.scripted import NAMES, TINY, write_world
from tests.steps.helpers import record_of, rows_of
from tests.steps.test_measure import judge_server
from tests.steps.test_score import TEXTS, sampled_world
from tests.tiny import tiny_model
from tests.tiny_rewards import tiny_estimator, tiny_reward_model

CHAIN = "chain=[{generate: {n: 3, temperature: 1.0, max_tokens: 10}}, {score: SCORERS}]"
ON = ["prompt_id", "language", "sample"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Path, pl.DataFrame]:
    """Answers of a tiny model with the values of two scorers that look into models; the folder of it all."""
    folder = tmp_path_factory.mktemp("scored") / "w"
    recipe = write_world(folder, TINY)
    tiny_model(folder / "model", "smollm2", seed=1)
    tiny_reward_model(folder / "reward", "llama3")
    chain = CHAIN.replace("SCORERS", f"{{latent: {{layer: 1, most: 2}}, reward_model: {{model: {folder}/reward}}}}")
    rows = rows_of(recipe, "iter_1/score", chain)
    answers = rows_of(recipe, "iter_1/generate", chain)
    return folder, answers.join(rows, on=ON)


def talk_of(row: dict, *, answered: bool = True) -> list[dict[str, str]]:
    topics = dict(zip([f"p{i}" for i in range(4)], ("bees", "rain", "bread", "stars"), strict=True))
    user = {"role": "user", "content": f"{NAMES[row['language']]}: tell me about {topics[row['prompt_id']]}"}
    return [user, {"role": "assistant", "content": row["text"].strip()}] if answered else [user]


def test_a_reward_model_says_its_logit_of_prompt_and_answer(scored):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, rows = scored
    tokenizer = AutoTokenizer.from_pretrained(folder / "reward")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "reward").eval()
    found = rows.filter(pl.col("scorer") == "reward_model", pl.col("value").is_not_null())
    assert found.height > 20
    for row in found.sample(5, seed=0).iter_rows(named=True):
        ids = tokenizer.apply_chat_template(talk_of(row), tokenize=True)["input_ids"]
        with torch.inference_mode():
            assert row["value"] == pytest.approx(float(model(torch.tensor([ids])).logits[0, 0]), abs=1e-5)
    assert found["value"].n_unique() > 10


def test_latent_values_are_those_of_states_that_were_made_one_by_one(scored):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, rows = scored
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    states = {}
    usable = rows.filter(pl.col("scorer") == "latent", pl.col("text").str.strip_chars() != "")
    for row in usable.iter_rows(named=True):
        prompt = tokenizer.apply_chat_template(talk_of(row, answered=False), add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template(talk_of(row))["input_ids"]
        whole = whole[: max(i for i, token in enumerate(whole) if token == end) + 1]
        with torch.inference_mode():
            hidden = model(torch.tensor([whole]), output_hidden_states=True).hidden_states
        states[tuple(row[name] for name in ON)] = [hidden[at][0, len(prompt) :].mean(0) for at in (1, -1)]
    cosine = torch.nn.functional.cosine_similarity
    checked = 0
    for (prompt_id, language, sample), (middle, last) in states.items():
        english = sorted(key for key in states if key[:2] == (prompt_id, "en"))[:2]
        near = [cosine(middle, states[key][0], 0) for key in english if key != (prompt_id, language, sample)]
        row = usable.filter(prompt_id=prompt_id, language=language, sample=sample).row(0, named=True)
        if not near:
            assert (row["value"], row["detail"]) == (None, "no_dominant_answer")
            continue
        similar = sum(near) / len(near)
        own = torch.stack([last for key, (_, last) in states.items() if key[:2] == (prompt_id, language)]).mean(0)
        dominant = torch.stack([states[key][1] for key in english]).mean(0)
        gap = cosine(last, own, 0) - cosine(last, dominant, 0) - similar
        assert row["value"] == pytest.approx(float(similar * torch.sigmoid(0.5 * gap)), abs=1e-5)
        checked += 1
    assert checked > 20


def test_a_reward_model_without_that_label_is_refused(scored):
    folder, _ = scored
    chain = CHAIN.replace("SCORERS", f"{{reward_model: {{model: {folder}/reward, label: 1}}}}")
    with pytest.raises(EngineError, match=r"score\.reward_model\.model: it has no label 1, only 0; name one"):
        rows_of(folder / "recipe.yaml", "iter_1/score", chain, "version=0.2.0")


def test_a_model_without_a_trained_head_is_no_reward_model(scored):
    """A language model would be given a head of random weights, and every value would be noise."""
    folder, _ = scored
    chain = CHAIN.replace("SCORERS", f"{{reward_model: {{model: {folder}/model}}}}")
    with pytest.raises(EngineError, match=r"score\.reward_model\.model: .*score\.weight is not among its weights"):
        rows_of(folder / "recipe.yaml", "iter_1/score", chain, "version=0.4.0")


def test_a_layer_that_the_policy_has_not_is_named(scored):
    folder, _ = scored
    chain = CHAIN.replace("SCORERS", "{latent: {layer: 99}}")
    with pytest.raises(EngineError, match=r"score\.latent\.layer: 99, and the policy has 2 layers"):
        rows_of(folder / "recipe.yaml", "iter_1/score", chain, "version=0.5.0")


def test_a_reward_model_with_code_of_its_own_is_refused_at_once(scored, tmp_path):
    """Unasked, transformers would ask on standard input, which is the pipe of a worker: it waited for ever."""
    folder, _ = scored
    other = shutil.copytree(folder / "reward", tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config |= {
        "model_type": "other",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"},
    }
    (other / "config.json").write_text(json.dumps(config))
    (other / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass\n")
    chain = CHAIN.replace("SCORERS", f"{{reward_model: {{model: {other}}}}}")
    with pytest.raises(EngineError, match="contains custom code"):
        rows_of(folder / "recipe.yaml", "iter_1/score", chain, "version=0.6.0")
    assert not (tmp_path / "ran").exists()


def test_what_is_longer_than_a_model_may_see_has_no_value(scored):
    folder, before = scored
    before = before.filter(pl.col("scorer") == "reward_model", pl.col("value").is_not_null())
    tokens = {tuple(row[name] for name in ON): int(row["detail"].split()[0]) for row in before.iter_rows(named=True)}
    most = sorted(tokens.values())[len(tokens) // 2]
    assert min(tokens.values()) < most < max(tokens.values())
    reward = f"reward_model: {{model: {folder}/reward, max_length: {most}}}"
    chain = CHAIN.replace("SCORERS", f"{{latent: {{max_length: 8}}, {reward}}}")
    rows = rows_of(folder / "recipe.yaml", "iter_1/score", chain, "version=0.3.0")
    for row in rows.filter(pl.col("detail") != "empty_response").iter_rows(named=True):
        count = tokens[tuple(row[name] for name in ON)]
        if row["scorer"] == "latent":
            assert (row["value"], row["detail"].partition(" of ")[2]) == (None, "at most 8")
        elif count > most:
            assert (row["value"], row["detail"]) == (None, f"over_long: {count} tokens of at most {most}")
        else:
            assert row["value"] is not None


def test_mt_quality_is_what_is_left_after_a_round_trip(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    rules = [{"match": f"{name}: tell me about", "texts": TEXTS[name]} for name in NAMES.values()]
    rules += [{"match": "into English\\..*7 abejas", "text": "There are 7 bees.\n</translated>"}]
    rules += [{"match": "into Spanish\\..*7 bees", "text": "Hay 7 abejas.\n</translated>"}]
    rules += [{"match": "into Spanish\\..*The answer is 3", "text": "La respuesta es 3."}]  # its end is not marked
    rules += [{"match": "into English\\..*La respuesta es 3", "text": "The answer is 3.\n</translated>"}]
    rules += [{"match": "into (Spanish|German|English)\\.", "text": "no tag", "finish_reason": "length"}]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    chain = CHAIN.replace("SCORERS", "{mt_quality: {max_tokens: 40}}")
    answers = rows_of(recipe, "iter_1/generate", chain)
    rows = answers.join(rows_of(recipe, "iter_1/score", chain), on=ON).filter(pl.col("text") != "")
    whole = rows.filter(pl.col("text") == "En total hay 7 abejas en la casa.")
    assert whole.height
    assert set(whole["value"]) == {chrf("Hay 7 abejas.", "En total hay 7 abejas en la casa.") / 100}
    dominant = rows.filter(pl.col("text") == "The answer is 3.")  # through the first of the other languages
    assert {(row["value"], row["detail"]) for row in dominant.iter_rows(named=True)} == {(1.0, "through es")}
    others = rows.filter(~pl.col("text").is_in(["En total hay 7 abejas en la casa.", "The answer is 3."]))
    assert set(others["detail"]) == {"there: truncated"}
    assert others["value"].null_count() == others.height
    rate = record_of(recipe, "iter_1/score", chain).rate  # of values, whatever was asked for them
    assert (rate.unit, rate.count) == ("values", answers.filter(pl.col("text") != "").height)


def with_translations(folder: Path) -> Path:
    """A recipe whose answers go there and not back, but for one that is cut; one translation is very long."""
    recipe, _ = sampled_world(folder)
    rules = [{"match": f"{name}: tell me about", "texts": TEXTS[name]} for name in NAMES.values()]
    rules += [{"match": "into English\\..*7 abejas", "text": "There are 7 bees.\n</translated>"}]
    rules += [{"match": "into Spanish\\..*The answer is 3", "text": "La respuesta es 3."}]
    rules += [{"match": "into English\\..*insgesamt 5", "text": "That is five. " * 20 + "</translated>"}]
    cut = "into (Spanish|English)\\..*(That makes|son 3|zusammen)"
    rules += [{"match": cut, "text": "", "finish_reason": "length"}]
    (folder / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    return recipe


def test_an_estimator_values_the_answer_and_its_translation_as_a_pair_of_texts(tmp_path):
    """Nothing is translated back: there is no answer to that, and a request without one would end the step."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    recipe, estimator = with_translations(tmp_path), tiny_estimator(tmp_path / "estimator")
    tokenizer = AutoTokenizer.from_pretrained(estimator)
    model = AutoModelForSequenceClassification.from_pretrained(estimator).eval()

    def logit(one: str, two: str) -> float:
        encoded = tokenizer(one, two, return_tensors="pt")
        assert set(encoded["token_type_ids"][0].tolist()) == {0, 1}
        with torch.inference_mode():
            return float(model(**encoded).logits[0, 0])

    chain = CHAIN.replace("SCORERS", f"{{mt_quality: {{max_tokens: 40, estimator: {{model: {estimator}}}}}}}")
    answers = rows_of(recipe, "iter_1/generate", chain)
    rows = answers.join(rows_of(recipe, "iter_1/score", chain), on=ON).filter(pl.col("text") != "")
    said = {}
    for row in rows.iter_rows(named=True):
        said.setdefault(row["text"], set()).add((row["value"], row["detail"]))
    seven, three = "En total hay 7 abejas en la casa.", "The answer is 3."
    expected = {seven: ("There are 7 bees.", "through en"), three: ("La respuesta es 3.", "through es")}
    for text, (translation, detail) in expected.items():
        ((value, through),) = said[text]
        assert (value, through) == (pytest.approx(logit(text, translation), abs=1e-6), detail)
    count = len(tokenizer("Das macht insgesamt 5.", ("That is five. " * 20).strip())["input_ids"])
    assert said["Das macht insgesamt 5."] == {(None, f"over_long: {count} tokens of at most 64")}
    files = record_of(recipe, "iter_1/score", chain).identity["outside"]["mt_quality"]["files"]
    assert "model.safetensors" in files  # another model of that name would be another step
    assert {text for text, found in said.items() if found == {(None, "there: truncated")}} == {
        text for text in said if "That makes" in text or "son 3" in text or "zusammen" in text
    }


def test_a_judge_marks_each_answer_alone(tmp_path):
    recipe = write_world(tmp_path)
    with judge_server() as server:
        chain = CHAIN.replace("SCORERS", f'{{judge: {{model: "openai:j@http://127.0.0.1:{server.server_port}/v1"}}}}')
        rows = rows_of(recipe, "iter_1/score", chain)
        assert len(server.asked) == 4 * 3  # equal answers are asked about once
    assert {code: set(rows.filter(language=code)["value"]) for code in NAMES} == {"en": {9.0}, "es": {3.0}, "de": {3.0}}
    again = lidr.plan(lidr.load_recipe(recipe, overrides=["iterations=[{prompts: '0:4'}]", chain]))
    assert next(step.state for step in again.steps if step.name == "score") == "cached"


def test_answers_without_a_mark_say_why_and_too_many_end_the_step(tmp_path):
    recipe = write_world(tmp_path)

    def says(body, _):
        unclear = "German: tell me about bees" in user_text(body)
        return completion("Hard to tell." if unclear else "Fair enough. Mark: 6")

    with Server(says) as server:
        chain = CHAIN.replace("SCORERS", f'{{judge: {{model: "openai:j@{server.url}", max_error_share: SHARE}}}}')
        with pytest.raises(EvaluationError) as too_many:
            rows_of(recipe, "iter_1/score", chain.replace("SHARE", "0.05"))
        asked = len(server.bodies)
        rows = rows_of(recipe, "iter_1/score", chain.replace("SHARE", "0.1"))
        assert asked == len(server.bodies) == 4 * 3  # equal answers are asked about once, and what was said is kept
    assert re.search(
        r"j failed on 3 of 36 answers \(8\.3%\), and 5\.0% are allowed \(max_error_share\): 3 x .*Nothing is lost: "
        r"the same command asks again where no answer came\. Answers that cannot be read are kept",
        str(too_many.value),
    )
    failed = rows.filter(pl.col("value").is_null())
    assert set(failed.select("prompt_id", "language", "detail").iter_rows()) == {("p0", "de", "no marks in the text")}
    assert set(rows.drop_nulls("value").select("value", "detail").iter_rows()) == {(6.0, "")}


def test_the_similarity_of_latent_is_read_at_half_of_the_layers_unless_one_is_named(tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    recipe = write_world(tmp_path, TINY)
    config = AutoConfig.from_pretrained(tiny_model(tmp_path / "model", "smollm2", seed=1))
    config.num_hidden_layers, config.layer_types = 6, None
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    found = []
    for number, settings in enumerate(("{}", "{layer: 3}", "{layer: 2}")):
        chain = CHAIN.replace("SCORERS", f"{{latent: {settings}}}")
        found.append(rows_of(recipe, "iter_1/score", chain, f"version=0.{number + 1}.0")["detail"].to_list())
    assert found[0] == found[1] != found[2]

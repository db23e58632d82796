import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lidr.engines.decoding import SeededChoice
from lidr.engines.engine import ChatRequest, EngineSpec
from lidr.engines.transformers import TransformersEngine
from lidr.errors import EngineError
from tests.engines.helpers import ask, by_key
from tests.odd_models import odd_model, pack_mxfp4
from tests.tiny import FAMILIES, Family, tiny_model

TEXTS = ("What do bees make?", "¿Qué?", "蜜蜂は何を作りますか。" * 3, "И всё? " * 9, "one two three " * 12, "Hi")


def load(folder: Path, **settings: Any) -> TransformersEngine:
    return TransformersEngine(EngineSpec("transformers", model=str(folder), **{"batch": 4, "threads": 1, **settings}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Path]:
    return {family: tiny_model(tmp_path_factory.mktemp("tiny") / family, family, seed=1) for family in FAMILIES}


@pytest.fixture(scope="module")
def engine(folders: dict[Family, Path]) -> Iterator[TransformersEngine]:
    with load(folders["smollm2"]) as engine:
        yield engine


def requests(**sampling: object) -> list[ChatRequest]:
    return [
        ask(f"{number}{prefill}", text, prefill=prefill, **sampling)
        for number, text in enumerate(TEXTS)
        for prefill in (None, "<translated>\n")
    ]


@pytest.mark.parametrize("kind", ["qwen3_5", "gemma3", "mistral3", "gpt_oss"])
def test_wrappers_and_packed_weights_answer(tmp_path: Path, kind: str) -> None:
    folder = odd_model(tmp_path / "policy", kind)
    if kind == "gpt_oss":
        pack_mxfp4(folder)
    asked = [ask(str(number), text) for number, text in enumerate(TEXTS)]
    alone = by_key(load(folder, batch=1).generate(asked))
    assert by_key(load(folder, batch=3).generate(asked)) == alone
    assert len(alone) == len(asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_size_and_order_do_not_change_greedy_answers(folders: dict[Family, Path], family: Family) -> None:
    # With a penalty, because the stock one would count the padding; Qwen's padding token also ends answers.
    asked = requests(max_tokens=24, repetition_penalty=1.2)
    alone = by_key(load(folders[family], batch=1).generate(asked))
    assert by_key(load(folders[family], batch=5).generate(reversed(asked))) == alone
    assert len(alone) == len(asked)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_greedy_answers_are_those_of_plain_generate(
    folders: dict[Family, Path], family: Family, penalty: float
) -> None:
    engine = load(folders[family])
    for request in requests(max_tokens=20, repetition_penalty=penalty):
        (mine,) = by_key(engine.generate([request])).values()
        prompt = torch.tensor([engine._chat.prompt_ids(request.messages, request.prefill)])
        plain = engine._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=20,
            do_sample=False,
            repetition_penalty=penalty,
            eos_token_id=sorted(engine._chat.end_ids),
            pad_token_id=engine._chat.pad_id,
        )[0, prompt.shape[1] :].tolist()
        ended = plain[-1] in engine._chat.end_ids
        assert list(mine.token_ids) == (plain[:-1] if ended else plain)
        assert mine.finish_reason == ("stop" if ended else "length")
        assert mine.prompt_tokens == prompt.shape[1]


def test_some_tiny_answers_end_by_themselves_and_some_are_cut(folders: dict[Family, Path]) -> None:
    # Or else the two tests above would see only one way to end.
    answers = [c for f in FAMILIES for c in by_key(load(folders[f]).generate(requests(max_tokens=24))).values()]
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    assert all(answer.completion_tokens == len(answer.token_ids) for answer in answers)
    assert {answer.completion_tokens for answer in answers if answer.finish_reason == "length"} == {24}


def test_a_seeded_answer_does_not_depend_on_its_batch(folders: dict[Family, Path], engine: TransformersEngine) -> None:
    asked = [
        ask(f"{seed}", text, max_tokens=12, temperature=0.9, top_p=0.8, seed=seed)
        for seed, text in enumerate(TEXTS * 2)
    ]
    first = by_key(engine.generate(asked))
    assert by_key(engine.generate(asked)) == first
    assert by_key(load(folders["smollm2"], batch=1).generate(reversed(asked))) == first


def test_seeds_differ_and_equal_requests_with_equal_seeds_agree(engine: TransformersEngine) -> None:
    answers = by_key(engine.generate([ask(f"{n}", temperature=1.0, seed=n // 2) for n in range(8)]))
    texts = [answers[f"{n}"].text for n in range(8)]
    assert texts[::2] == texts[1::2]
    assert len(set(texts)) == 4


def test_a_vanishing_top_p_is_greedy(engine: TransformersEngine) -> None:
    greedy, narrow = (by_key(engine.generate([ask("a", temperature=t, top_p=1e-6)])) for t in (0.0, 1.0))
    assert narrow["a"].token_ids == greedy["a"].token_ids


def test_tokens_are_drawn_by_their_probability_within_top_p() -> None:
    # Worked by hand: logits ln 4, ln 3, ln 2, ln 1 give .4 .3 .2 .1; top_p .6 keeps the first two: 4/7 and 3/7.
    scores = torch.tensor([[4.0, 1.0, 3.0, 2.0]]).log().expand(20_000, 4)
    choice = SeededChoice(range(20_000), temperature=1.0, top_p=0.6)
    drawn = choice(torch.zeros(20_000, 1, dtype=torch.long), scores).argmax(-1)
    shares = (drawn.bincount(minlength=4) / 20_000).tolist()
    assert shares == pytest.approx([4 / 7, 0, 3 / 7, 0], abs=0.012)  # 3.5 standard errors


def test_a_stop_string_is_cut_off_with_what_follows(engine: TransformersEngine) -> None:
    whole = by_key(engine.generate([ask("a", max_tokens=24)]))["a"]
    at = next(at for at in range(4, len(whole.text)) if "\N{REPLACEMENT CHARACTER}" not in whole.text[at : at + 3])
    stop = whole.text[at : at + 3]
    cut = by_key(engine.generate([ask("a", max_tokens=24, stop=(stop, "never")), ask("b", "Hi", max_tokens=24)]))["a"]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.token_ids == whole.token_ids[: cut.completion_tokens]
    assert stop in engine._chat.decode(cut.token_ids)
    assert stop not in engine._chat.decode(cut.token_ids[:-1])


def test_requests_of_several_kinds_are_each_answered_once(engine: TransformersEngine) -> None:
    asked = [ask(f"{n}-{k}", TEXTS[n], max_tokens=n + 1, repetition_penalty=1 + k) for n in range(6) for k in range(2)]
    answers = by_key(engine.generate(asked))
    assert set(answers) == {request.key for request in asked}
    assert {key: answer.completion_tokens for key, answer in answers.items() if answer.finish_reason == "length"} == {
        key: int(key[0]) + 1 for key, answer in answers.items() if answer.finish_reason == "length"
    }


def test_a_batch_is_handed_on_before_the_next_is_asked(engine: TransformersEngine, monkeypatch: Any) -> None:
    seen: list[int] = []
    answer = engine._answer
    monkeypatch.setattr(engine, "_answer", lambda batch: (seen.append(len(batch)), answer(batch))[1])
    stream = engine.generate([ask(f"{n}") for n in range(9)])
    next(stream)
    assert seen == [4]
    list(stream)
    assert seen == [4, 4, 1]


def test_a_prompt_that_does_not_fit_is_never_shown_to_the_model(tmp_path: Path, monkeypatch: Any) -> None:
    engine = load(tiny_model(tmp_path / "short", "qwen2", max_positions=96))
    asked = [ask("fits"), ask("does not", "bees " * 100)]
    answers = by_key(engine.generate(asked))
    assert answers["fits"].finish_reason in ("stop", "length")
    assert (answers["does not"].finish_reason, answers["does not"].text) == ("prompt_too_long", "")
    monkeypatch.setattr(engine, "_answer", lambda batch: pytest.fail("asked"))
    list(engine.generate(asked[1:]))
    narrower = load(tmp_path / "short", max_model_len=20)
    assert {answer.finish_reason for answer in by_key(narrower.generate(asked)).values()} == {"prompt_too_long"}


def test_the_models_own_sampling_defaults_are_not_used(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", "qwen2", seed=1)
    expected = by_key(load(folder).generate(requests()))
    path = folder / "generation_config.json"
    own = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 3.0, "min_new_tokens": 16, "max_length": 9}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    assert by_key(load(folder).generate(requests())) == expected


def test_a_batch_that_exhausts_the_memory_says_what_to_lower(engine: TransformersEngine, monkeypatch: Any) -> None:
    def exhausted(**_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(engine._model, "generate", exhausted)
    with pytest.raises(EngineError, match=r"a batch of 2 does not fit into memory: lower runtime\.engine_batch"):
        list(engine.generate([ask("a"), ask("b")]))


def test_folders_that_hold_no_safe_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nowhere: no such model folder"):
        load(tmp_path / "nowhere")
    folder = tiny_model(tmp_path / "pickled", "gemma")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EngineError, match=r"no \*\.safetensors file; lidr loads no pickled weights"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(EngineError, match=r"needs a config\.json"):
        load(folder)

from __future__ import annotations

from pathlib import Path

import pytest

from lidr.engines.engine import ChatRequest, EngineSpec, Sampling
from lidr.engines.process.engine_process import open_engine
from lidr.errors import EngineError
from tests.engines.helpers import ask, by_key
from tests.tiny import tiny_model
from tests.tiny_m2m import tiny_m2m


@pytest.fixture(scope="module")
def m2m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_m2m(tmp_path_factory.mktemp("m2m") / "model")


def engine(folder: Path, **settings: object):
    from lidr.engines.seq2seq import Seq2SeqEngine

    return Seq2SeqEngine(EngineSpec("seq2seq", model=str(folder), threads=1, **settings))


def request(key: str, text: str, source: str = "en", target: str = "fr", **sampling: object) -> ChatRequest:
    options: dict[str, object] = {"max_tokens": 12, **sampling}
    return ChatRequest(key, ({"role": "user", "content": text},), Sampling(**options), direction=(source, target))  # type: ignore[arg-type]


TEXTS = ("The bees make honey.", "What is the answer?", "The winter", "One, two, three apples and wax.")


def test_an_answer_is_what_transformers_itself_generates(m2m: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(m2m), AutoModelForSeq2SeqLM.from_pretrained(m2m).eval()
    tokenizer.src_lang = "en"
    inputs = tokenizer(TEXTS[0], return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(inputs.input_ids[0, :1]) == ["__en__"]
    ids = model.generate(**inputs, forced_bos_token_id=tokenizer.get_lang_id("fr"), max_new_tokens=13, do_sample=False)
    answer = by_key(engine(m2m).generate([request("1", TEXTS[0])]))["1"]
    expected = ids[0, 2:].tolist()
    assert list(answer.token_ids) == expected[: [*expected, 2].index(2)]
    assert answer.prompt_tokens == inputs.input_ids.shape[1]
    assert "__fr__" not in answer.text


def test_the_language_asked_for_changes_the_answer_and_so_does_that_of_the_source(m2m: Path) -> None:
    directions = [("en", "fr"), ("en", "de"), ("es", "fr")]
    requests = [request(f"{s}{t}", TEXTS[0], s, t) for s, t in directions]
    answers = by_key(engine(m2m).generate(requests))
    assert len({answer.token_ids for answer in answers.values()}) == 3


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.8, "seed": 5}, {"repetition_penalty": 1.3}])
def test_an_answer_does_not_depend_on_what_it_is_batched_with(m2m: Path, settings: dict[str, object]) -> None:
    requests = [request(text, text, **settings) for text in TEXTS]
    together = by_key(engine(m2m).generate(requests))
    alone = {text: by_key(engine(m2m, batch=1).generate([r]))[text] for text, r in zip(TEXTS, requests, strict=True)}
    assert together == alone


def test_beams_are_a_setting(m2m: Path) -> None:
    requests = [request(text, text) for text in TEXTS]
    greedy, beams = (by_key(engine(m2m, beams=n).generate(requests)) for n in (1, 4))
    assert {k: a.token_ids for k, a in greedy.items()} != {k: a.token_ids for k, a in beams.items()}


def test_a_cut_answer_and_a_text_that_does_not_fit_are_told_apart(m2m: Path) -> None:
    answers = by_key(engine(m2m).generate([request("cut", TEXTS[0], max_tokens=1), request("long", "bees " * 200)]))
    assert (answers["cut"].finish_reason, answers["cut"].completion_tokens) == ("length", 1)
    assert (answers["long"].finish_reason, answers["long"].text) == ("prompt_too_long", "")


def test_it_runs_in_a_worker_process(m2m: Path, tmp_path: Path) -> None:
    spec = EngineSpec("seq2seq", model=str(m2m), threads=1)
    with open_engine(spec, log=tmp_path / "log") as worker:
        answers = by_key(worker.generate([request("1", TEXTS[0])]))
    assert answers == by_key(engine(m2m).generate([request("1", TEXTS[0])]))


def test_a_language_that_the_model_lacks_is_said_and_can_be_named(m2m: Path) -> None:
    with pytest.raises(EngineError, match=r"no token '__te__' for Telugu; .* translate.by.codes: \{te: ITS_CODE\}"):
        list(engine(m2m).generate([request("1", TEXTS[0], target="te")]))
    own = by_key(engine(m2m, codes={"te": "ta"}).generate([request("1", TEXTS[0], target="te")]))
    assert own == by_key(engine(m2m).generate([request("1", TEXTS[0], target="ta")]))


def test_a_model_without_language_tokens_is_refused(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lidr.engines.translation_codes import language_tokens

    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "chat", "smollm2"))
    with pytest.raises(EngineError, match=r"no language tokens.*M2M100 \(__fr__\).*A model of one direction"):
        language_tokens(tokenizer, model="chat", own={})


def test_a_prompt_is_refused(m2m: Path) -> None:
    with pytest.raises(EngineError, match="only translates: it cannot answer prompts"):
        list(engine(m2m).generate([ask("1")]))


class Vocabulary:
    """A tokenizer that knows some tokens."""

    unk_token_id = 0

    def __init__(self, *tokens: str) -> None:
        self._tokens = ["<unk>", *tokens]

    def convert_tokens_to_ids(self, token: str) -> int:
        return self._tokens.index(token) if token in self._tokens else 0


@pytest.mark.parametrize(
    ("tokens", "family", "tells"),
    [
        (("__fr__", "__bn__"), "M2M100", "decoder"),
        (("fra_Latn", "ben_Beng"), "NLLB", "decoder"),
        (("fr_XX", "bn_IN"), "mBART-50", "decoder"),
        (("<2fr>", "<2bn>"), "MADLAD-400", "text"),
        ((">>fra<<", ">>ben<<"), "Marian", "text"),
    ],
)
def test_each_family_is_known_by_its_language_tokens(tokens: tuple[str, ...], family: str, tells: str) -> None:
    from lidr.engines.translation_codes import language_tokens

    found = language_tokens(Vocabulary(*tokens), model="m", own={})
    assert (found.family.name, found.family.tells) == (family, tells)
    assert (found.token("fr"), found.token("bn"), found.token_id("bn")) == (*tokens, 2)


def test_every_language_of_our_table_has_a_code_in_nllb() -> None:
    from lidr.engines.translation_codes import MBART, NLLB
    from lidr.languages import LANGUAGES

    assert NLLB.keys() == LANGUAGES.keys()
    assert MBART.keys() <= LANGUAGES.keys()

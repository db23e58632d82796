"""From preference pairs to token ids: the one place where training text is tokenised.

A row is tokenised as TRL 1.16 does it, by the tokenizer's own chat template and never from strings, so that a template
which writes BOS itself yields one BOS:

    prompt      template(prompt, with the generation prompt)            = what generation sees, see prompt_ids
    completion  template(prompt + answer) after the prompt, cut after its end-of-turn token, the first that ends it

    "…<|im_start|>assistant\\n" | "Bees make honey.<|im_end|>" | "\\n"
     prompt_ids                  chosen_ids                     left out: never sampled, so never trained

Beyond TRL: leading white space of a completion is stripped, because it merges with the newline that ends the prompt;
and what TRL would drop, cut or train on in silence is found here and reported as a DroppedPair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import TemplateError

from lidr.errors import RowError, TrainError
from lidr.reasoning import ThoughtForm
from lidr.rows import WEIGHT
from lidr.train.training_spec import AS_ASKED, DroppedPair, Method, OverLong, TrainingText

Message = Mapping[str, str]

_AT_ONCE = 1_000  # rows read
_READ_AHEAD = 1 << 20  # bytes of a column

COLUMNS = ("pair_id", "language", "kind", "prompt", "chosen", "rejected")
"""What training reads of the pairs table."""

_THOUGHTS = "_reasoning"
"""Ends the names of the columns with what was thought before a side, where the recipe trains on that."""
_THOUGHT = "reasoning"
"""Field of a message with it, until the tokenizer is asked in which form its template reads it."""

SIDES: Mapping[Method, Sequence[str]] = {"dpo_nll": ("chosen", "rejected"), "sft": ("chosen",)}
"""The sides that a method trains on."""

_WHAT_TO_DO = {
    "prompt_too_long": "raise max_length, or shorten the prompts",
    "over_long": "raise max_length, or lower max_tokens of generate and translate",
    "empty_completion": "look at the responses and translations: an answer is empty",
    "equal_completions": "chosen and rejected are the same text, which teaches nothing: look at the pairs",
    "template_refused": "the policy's chat template refuses the conversation, as Gemma 2's does one with a system "
    "message: take it out of the pairs (a column: columns: {system: null}), or name another policy.chat_template.file",
    "prompt_mismatch": "the chat template or the tokenizer writes a prompt with an answer differently from the prompt "
    "alone, so that training would see another prompt than generation did: set policy.chat_template.training (auto, or "
    "a template for training), or policy.chat_template.file",
}


@dataclass(frozen=True)
class TokenPair:
    """One preference pair as token ids, ready for the trainer."""

    pair_id: str
    language: str
    kind: str
    prompt_ids: list[int]  # ends with the generation prompt
    chosen_ids: list[int]  # ends with the end-of-turn token
    rejected_ids: list[int]  # none under `sft`
    weight: float = 1.0  # how much it counts, as against the others; above 0


def read_pairs(files: Sequence[str], of: Callable[[str], bool] | None = None) -> Iterator[dict[str, Any]]:
    """Read the pairs table's COLUMNS, files in the order given.

    Args:
        files: Parquet files.
        of: whether the pairs of this prompt_id are read; None: all are, and no prompt_id is needed.

    Raises:
        RowError: a file lacks a column, a pair_id occurs twice, or a weight is none.
    """
    for file in files:
        missing = [name for name in COLUMNS if name not in pq.read_schema(file).names]
        if missing:
            raise RowError(f"{file}: the pairs table lacks the column(s) {', '.join(missing)}; it needs {COLUMNS}")
    _check_once(files)
    _check_weights(files)
    if of is None:
        return _rows_of(files, COLUMNS)
    return (row for row in _rows_of(files, (*COLUMNS, "prompt_id")) if of(row.pop("prompt_id")))


def _rows_of(files: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for file in files:
        thoughts = [f"{side}{_THOUGHTS}" for side in ("chosen", "rejected")]
        there = [name for name in (*thoughts, WEIGHT) if name in pq.read_schema(file).names]
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD) as table:
            for batch in table.iter_batches(batch_size=_AT_ONCE, columns=[*columns, *there]):
                yield from map(_with_thoughts, batch.to_pylist())


def _check_once(files: Sequence[str]) -> None:
    """Refuse a pair_id that occurs twice."""
    ids = pa.chunked_array([pq.read_table(file, columns=["pair_id"])["pair_id"].combine_chunks() for file in files])
    if pc.count_distinct(ids, mode="all").as_py() == len(ids):
        return
    twice = [pair_id for pair_id, count in Counter(ids.to_pylist()).items() if count > 1]
    raise RowError(
        f"{len(twice)} pair_id(s) occur more than once in {', '.join(files)}: {', '.join(twice[:5])}; keep one row "
        "of each"
    )


def _check_weights(files: Sequence[str]) -> None:
    """Refuse a weight that is none."""
    for file in files:
        if WEIGHT not in pq.read_schema(file).names:
            continue
        table = pq.read_table(file, columns=["pair_id", WEIGHT])
        weights = table[WEIGHT].cast(pa.float32())  # as the loss has them
        is_one = pc.and_(pc.is_finite(weights), pc.greater(weights, 0))  # null where there is none
        for row in table.filter(pc.invert(is_one)).slice(0, 1).to_pylist():
            raise RowError(
                f"{file}: {row['pair_id']}: weight {row[WEIGHT]}: how much a pair counts is a finite number above 0, "
                "in float32; drop the pair, or write one"
            )


def _with_thoughts(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the thoughts of a side in its message, so that they go where the side goes."""
    for side in ("chosen", "rejected"):
        if thoughts := row.pop(f"{side}{_THOUGHTS}", None):
            *before, last = row[side]
            row[side] = [*before, {**last, _THOUGHT: thoughts}]
    return row


def tokenise(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    *,
    max_length: int,
    over_long: OverLong,
    method: Method = "dpo_nll",
    double_bos: bool = False,
    form: TrainingText = AS_ASKED,
) -> tuple[list[TokenPair], tuple[DroppedPair, ...]]:
    """Tokenise pairs, and find those that training cannot use.

    Args:
        rows: of the pairs table, at least COLUMNS.
        tokenizer: the policy's, with a chat template.
        max_length: prompt plus completion, tokens.
        over_long: whether a pair over max_length is dropped or an error.
        method: `sft` looks at no rejected answer: it can neither be trained on nor cost a pair its place.
        double_bos: put one more BOS token before each prompt.
        form: how a prompt and its answer are written together.

    Returns:
        Pairs in the order of `rows`, and those left out, each with its reason. Never both, never neither.

    Raises:
        TrainError: no chat template, two BOS tokens, no pair left, or a pair over max_length and over_long "refuse".
    """
    pairs, dropped = tokenise_each(
        rows, tokenizer, max_length=max_length, method=method, double_bos=double_bos, form=form
    )
    check_kept(len(pairs), dropped, over_long)
    return pairs, tuple(dropped)


def check_kept(pairs: int, dropped: Sequence[DroppedPair], over_long: OverLong, use: str = "train on") -> None:
    """Refuse to train on what is left.

    Args:
        pairs: how many can be used.
        dropped, over_long: as of `tokenise`.
        use: what the pairs are for, for the message.

    Raises:
        TrainError: no pair is left, or one is over max_length and over_long "refuse".
    """
    if over_long == "refuse":
        _refuse_over_long(dropped)
    if not pairs:
        raise TrainError(_nothing_left(dropped, use))


def tokenise_each(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    *,
    max_length: int,
    method: Method = "dpo_nll",
    double_bos: bool = False,
    form: TrainingText = AS_ASKED,
) -> tuple[list[TokenPair], list[DroppedPair]]:
    """As `tokenise`; that no pair is left is no error.

    Raises:
        TrainError: no chat template, or two BOS tokens.
    """
    dropped: list[DroppedPair] = []
    pairs = tokenised(rows, tokenizer, dropped, max_length=max_length, method=method, double_bos=double_bos, form=form)
    return list(pairs), dropped


def tokenised(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    dropped: list[DroppedPair],
    *,
    max_length: int,
    method: Method = "dpo_nll",
    double_bos: bool = False,
    form: TrainingText = AS_ASKED,
) -> Iterator[TokenPair]:
    """As `tokenise_each`, one pair at a time; those that training cannot use are added to `dropped` as they come."""
    if not tokenizer.chat_template:
        raise TrainError("the policy's tokenizer has no chat template: put a chat_template.jinja into its folder")
    special = special_ids(tokenizer)
    for row in _as_read(rows, tokenizer, form):
        outcome = _tokenise_row(row, tokenizer, special, max_length, SIDES[method], double_bos, form)
        if isinstance(outcome, DroppedPair):
            dropped.append(outcome)
        else:
            yield outcome


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of a prompt as training sees it, generation prompt included; generation must send the same."""
    return _render(tokenizer, messages, add_generation_prompt=True)


def with_second_bos(prompt: list[int], tokenizer: Any) -> list[int]:
    """The prompt with one more BOS token before it, as an id: what the authors' code sends (double_bos).

    Raises:
        TrainError: the prompt begins with no BOS token, so there is none to double.
    """
    bos = tokenizer.bos_token_id
    if bos is None or prompt[:1] != [bos]:
        raise TrainError(
            "policy.double_bos: the chat template begins a prompt with no BOS token, so there is none to double; "
            "take double_bos out (under authors_compat: double_bos: false)"
        )
    return [bos, *prompt]


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of the tokens that the tokenizer marks as special: BOS, end of turn and the like."""
    return frozenset(token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special)


def end_after_turn(completion_ids: list[int], tokenizer: Any, special: frozenset[int]) -> list[int]:
    """Cut a completion after the special tokens that end its turn, if only white space and special tokens follow.

    ChatML and Gemma templates put a newline there, Phi-3's a newline and <|endoftext|>. The model never samples them:
    generation stops at the end of turn.
    """
    last = max((index for index, token_id in enumerate(completion_ids) if token_id in special), default=None)
    if last is None or tokenizer.decode(completion_ids[last + 1 :]).strip():
        return completion_ids
    end = last
    for index in range(last - 1, -1, -1):
        token_id = completion_ids[index]
        if token_id not in special and tokenizer.decode([token_id]).strip():
            break
        if token_id in special and completion_ids[index + 1] not in special:
            end = index
    return completion_ids[: end + 1]


def _tokenise_row(
    row: Mapping[str, Any],
    tokenizer: Any,
    special: frozenset[int],
    max_length: int,
    sides: Sequence[str],
    double_bos: bool,
    form: TrainingText,
) -> TokenPair | DroppedPair:
    def drop(reason: str, detail: str) -> DroppedPair:
        return DroppedPair(row["pair_id"], reason, detail)

    for side in sides:
        if not any(message["content"].strip() for message in row[side]):
            return drop("empty_completion", f"{side} is empty")
    try:
        prompt = prompt_ids(tokenizer, row["prompt"])
        whole = [_whole(tokenizer, row["prompt"], _without_leading_space(row[side]), prompt, form) for side in sides]
    except TemplateError as error:
        return drop("template_refused", str(error))
    if any(ids[: len(prompt)] != prompt for ids in whole):
        return drop("prompt_mismatch", f"the prompt's {len(prompt):,} tokens do not begin the prompt with an answer")
    _check_bos(prompt, tokenizer)
    completions = [end_after_turn(ids[len(prompt) :], tokenizer, special) for ids in whole]
    if len(completions) == 2 and completions[0] == completions[1]:
        return drop("equal_completions", f"chosen and rejected are the same {len(completions[0]):,} tokens")
    if double_bos:
        prompt = with_second_bos(prompt, tokenizer)
    if len(prompt) >= max_length:
        return drop("prompt_too_long", f"the prompt alone has {len(prompt):,} tokens of at most {max_length:,}")
    longest = len(prompt) + max(map(len, completions))
    if longest > max_length:
        return drop("over_long", f"{longest:,} tokens of at most {max_length:,}")
    chosen, rejected = completions if len(completions) == 2 else (completions[0], [])
    weight = row.get(WEIGHT)
    weight = 1.0 if weight is None else float(weight)
    return TokenPair(row["pair_id"], row["language"], row["kind"], prompt, chosen, rejected, weight)


def _whole(
    tokenizer: Any, asked: Sequence[Message], answer: Sequence[Message], prompt: list[int], form: TrainingText
) -> list[int]:
    """Token ids of prompt and answer; none where a thought is to be closed and the template changes the answer."""
    messages = [*asked, *answer]
    if not form.closes:
        return _render(tokenizer, messages, template=form.template or None)
    plain = [{"role": message["role"], "content": message["content"]} for message in messages]
    text: str = tokenizer.apply_chat_template(plain, tokenize=False)
    said, thoughts = answer[-1]["content"].rstrip(), answer[-1].get(_THOUGHT, "")
    _, found, after = text.rpartition(said)
    rest = tokenizer(thoughts + form.closes + said + after, add_special_tokens=False)["input_ids"]
    return [*prompt, *rest] if found else []


def _render(
    tokenizer: Any, messages: Sequence[Message], *, add_generation_prompt: bool = False, template: str | None = None
) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [dict(message) for message in messages],
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        tokenize=True,
        return_dict=True,
    )
    return list(encoded["input_ids"])


def _without_leading_space(messages: Sequence[Message]) -> list[Message]:
    first, *rest = messages
    return [{**first, "content": first["content"].lstrip()}, *rest]


def _as_read(rows: Iterable[Mapping[str, Any]], tokenizer: Any, form: TrainingText) -> Iterator[Mapping[str, Any]]:
    """The rows, with thoughts in the form that the chat template reads; where the prompt opens a thought and training
    closes it, they stay as they are for that.

    Raises:
        TrainError: it reads none.
    """
    place: ThoughtForm | None = None
    for row in rows:
        read = dict(row)
        for side in ("chosen", "rejected"):
            *before, last = row[side]
            if form.closes or not (thoughts := last.get(_THOUGHT)):
                continue
            try:
                place = place or ThoughtForm.of(tokenizer, form.template or None)
            except ValueError as error:
                how = "take train out, or give another chat template"
                raise TrainError(f"policy.reasoning.train: {error}: {how}") from None
            said = {name: value for name, value in last.items() if name != _THOUGHT}
            read[side] = [*before, place.message(said, thoughts)]
        yield read


def _check_bos(prompt: list[int], tokenizer: Any) -> None:
    bos = tokenizer.bos_token_id
    if bos is not None and prompt[:2] == [bos, bos]:
        raise TrainError(
            f"the chat template begins a prompt with two BOS tokens ({tokenizer.bos_token!r}): a model reads one. "
            "Remove the BOS token from the template or from the tokenizer's post-processor"
        )


def _refuse_over_long(dropped: Sequence[DroppedPair]) -> None:
    refused = [pair for pair in dropped if pair.reason in ("over_long", "prompt_too_long")]
    if refused:
        first = "; ".join(f"{pair.pair_id}: {pair.detail}" for pair in refused[:5])
        raise TrainError(
            f"{len(refused)} pair(s) do not fit into max_length ({first}). Raise max_length, lower max_tokens of "
            "generate and translate, or say over_long: drop"
        )


def _nothing_left(dropped: Sequence[DroppedPair], use: str) -> str:
    if not dropped:
        return "no pair to train on: the pairs table is empty. Look at the dropped rows of the steps pair and filter"
    counts = Counter(pair.reason for pair in dropped)
    lines = [f"  {count} {reason}: {_WHAT_TO_DO[reason]}" for reason, count in counts.most_common()]
    return f"no pair left to {use}: all {len(dropped)} were dropped.\n" + "\n".join(lines)

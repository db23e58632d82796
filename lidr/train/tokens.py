"""From preference pairs to token ids: the one place where training text is tokenised.

A row is tokenised as TRL 1.16 does it, by the tokenizer's own chat template and never from strings, so that a template
which writes BOS itself yields one BOS:

    prompt      template(prompt, with the generation prompt)            = what generation sees, see prompt_ids
    completion  template(prompt + answer) after the prompt, cut after its end-of-turn token

    "…<|im_start|>assistant\\n" | "Bees make honey.<|im_end|>" | "\\n"
     prompt_ids                  chosen_ids                     left out: never sampled, so never trained

Beyond TRL: leading white space of a completion is stripped, because it merges with the newline that ends the prompt;
and what TRL would drop, cut or train on in silence is found here and reported as a DroppedPair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from lidr.errors import RowError, TrainError
from lidr.train.training_spec import DroppedPair, Method, OverLong

Message = Mapping[str, str]

COLUMNS = ("pair_id", "language", "kind", "prompt", "chosen", "rejected")
"""What training reads of the pairs table."""

SIDES: Mapping[Method, Sequence[str]] = {"dpo_nll": ("chosen", "rejected"), "sft": ("chosen",)}
"""The sides that a method trains on."""

_WHAT_TO_DO = {
    "prompt_too_long": "raise max_length, or shorten the prompts",
    "over_long": "raise max_length, or lower max_tokens of generate and translate",
    "empty_completion": "look at the responses and translations: an answer is empty",
    "equal_completions": "chosen and rejected are the same text, which teaches nothing: look at the pairs",
    "prompt_mismatch": "the chat template or the tokenizer writes a prompt with an answer differently from the prompt "
    "alone, so that training would see another prompt than generation did: change the template",
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


def read_pairs(files: Sequence[str]) -> list[dict[str, Any]]:
    """Read the pairs table's COLUMNS, files in the order given.

    Raises:
        RowError: a file lacks a column, or a pair_id occurs twice.
    """
    rows: list[dict[str, Any]] = []
    for file in files:
        missing = [name for name in COLUMNS if name not in pq.read_schema(file).names]
        if missing:
            raise RowError(f"{file}: the pairs table lacks the column(s) {', '.join(missing)}; it needs {COLUMNS}")
        rows += pq.read_table(file, columns=list(COLUMNS)).to_pylist()
    twice = [pair_id for pair_id, count in Counter(row["pair_id"] for row in rows).items() if count > 1]
    if twice:
        raise RowError(f"{len(twice)} pair_id(s) occur more than once in {', '.join(files)}: {', '.join(twice[:5])}")
    return rows


def tokenise(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    *,
    max_length: int,
    over_long: OverLong,
    method: Method = "dpo_nll",
    double_bos: bool = False,
) -> tuple[list[TokenPair], tuple[DroppedPair, ...]]:
    """Tokenise pairs, and find those that training cannot use.

    Args:
        rows: of the pairs table, at least COLUMNS.
        tokenizer: the policy's, with a chat template.
        max_length: prompt plus completion, tokens.
        over_long: whether a pair over max_length is dropped or an error.
        method: `sft` looks at no rejected answer: it can neither be trained on nor cost a pair its place.
        double_bos: put one more BOS token before each prompt.

    Returns:
        Pairs in the order of `rows`, and those left out, each with its reason. Never both, never neither.

    Raises:
        TrainError: no chat template, two BOS tokens, no pair left, or a pair over max_length and over_long "refuse".
    """
    if not tokenizer.chat_template:
        raise TrainError("the policy's tokenizer has no chat template: put a chat_template.jinja into its folder")
    special = special_ids(tokenizer)
    pairs: list[TokenPair] = []
    dropped: list[DroppedPair] = []
    for row in rows:
        outcome = _tokenise_row(row, tokenizer, special, max_length, SIDES[method], double_bos)
        if isinstance(outcome, DroppedPair):
            dropped.append(outcome)
        else:
            pairs.append(outcome)
    if over_long == "refuse":
        _refuse_over_long(dropped)
    if not pairs:
        raise TrainError(_nothing_left(dropped))
    return pairs, tuple(dropped)


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
    """Cut a completion after its last special token, the end of turn, if only white space follows.

    ChatML and Gemma templates put a newline there. The model never samples it: generation stops at the end of turn.
    """
    last = max((index for index, token_id in enumerate(completion_ids) if token_id in special), default=None)
    if last is None or tokenizer.decode(completion_ids[last + 1 :]).strip():
        return completion_ids
    return completion_ids[: last + 1]


def _tokenise_row(
    row: Mapping[str, Any],
    tokenizer: Any,
    special: frozenset[int],
    max_length: int,
    sides: Sequence[str],
    double_bos: bool,
) -> TokenPair | DroppedPair:
    def drop(reason: str, detail: str) -> DroppedPair:
        return DroppedPair(row["pair_id"], reason, detail)

    for side in sides:
        if not any(message["content"].strip() for message in row[side]):
            return drop("empty_completion", f"{side} is empty")
    prompt = prompt_ids(tokenizer, row["prompt"])
    whole = [_render(tokenizer, [*row["prompt"], *_without_leading_space(row[side])]) for side in sides]
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
    return TokenPair(row["pair_id"], row["language"], row["kind"], prompt, chosen, rejected)


def _render(tokenizer: Any, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [dict(message) for message in messages],
        add_generation_prompt=add_generation_prompt,
        tokenize=True,
        return_dict=True,
    )
    return list(encoded["input_ids"])


def _without_leading_space(messages: Sequence[Message]) -> list[Message]:
    first, *rest = messages
    return [{**first, "content": first["content"].lstrip()}, *rest]


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


def _nothing_left(dropped: Sequence[DroppedPair]) -> str:
    if not dropped:
        return "no pair to train on: the pairs table is empty. Look at the dropped rows of the steps pair and filter"
    counts = Counter(pair.reason for pair in dropped)
    lines = [f"  {count} {reason}: {_WHAT_TO_DO[reason]}" for reason, count in counts.most_common()]
    return f"no pair left to train on: all {len(dropped)} were dropped.\n" + "\n".join(lines)

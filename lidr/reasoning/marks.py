"""How each family of chat templates marks what a model thinks: the one place where these marks stand.

think      <think>The user asks ...</think>Bees make honey.         Qwen3, DeepSeek-R1, OLMo 3, SmolLM3, many others
harmony    <|channel|>analysis<|message|>...<|end|>
           <|start|>assistant<|channel|>final<|message|>Bees ...    gpt-oss
gemma4     <|channel>thought\\n...<channel|>Bees make honey.         Gemma 4
mistral    [THINK]...[/THINK]Bees make honey.                       Magistral
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Marks:
    """The marks of one family.

    Args:
        name: what a recipe calls the family.
        opens, closes: before and after the thoughts.
        label: what stands after `opens` and is no thought: the channel's name.
        is_phrase: they are words that an answer may hold, too, and count only where it begins with the opening one.
    """

    name: str
    opens: str
    closes: str
    label: str = ""
    is_phrase: bool = False

    @property
    def around(self) -> tuple[str, str]:
        """What begins a thought, and what ends it and begins the answer, as text of tokens."""
        if self.name == "harmony":
            final = f"{self.opens}final{self.closes}"
            return f"{self.opens}analysis{self.closes}", f"<|end|><|start|>assistant{final}"
        return (f"{self.opens}{self.label}\n" if self.label else self.opens), self.closes


HARMONY = Marks("harmony", "<|channel|>", "<|message|>")
"""Messages in channels: only the one called final is the answer. Read by rules of its own."""

_ROWS = (
    Marks("think", "<think>", "</think>"),
    HARMONY,
    Marks("gemma4", "<|channel>", "<channel|>", label="thought"),
    Marks("mistral", "[THINK]", "[/THINK]"),
    Marks("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
    Marks("command", "<|START_THINKING|>", "<|END_THINKING|>"),
    Marks("seed", "<seed:think>", "</seed:think>"),
    Marks("granite", "Here is my thought process:", "Here is my response:", is_phrase=True),
)
FAMILIES: Mapping[str, Marks] = {row.name: row for row in _ROWS}


def family_of(template: Any, vocabulary: Collection[str]) -> Marks | None:
    """The family of a policy, by its files; None where it has no marks of thoughts.

    Args:
        template: its chat template, or several by name.
        vocabulary: tokens that it has beside those of its text, special or not.

    A template that speaks of the marks counts before a vocabulary that only has them: models come with the tokens of
    those that they were made from.

    >>> family_of("{{- '<think>\\\\n' }} ... {{ content.split('</think>')[-1] }}", ()).name
    'think'
    >>> family_of("{{- '<|im_start|>assistant\\n<think>' }}", ()).name  # OLMo 3
    'think'
    >>> family_of("...", ("<|im_end|>",)) is None
    True
    """
    text = "\n".join(map(str, template.values())) if isinstance(template, Mapping) else str(template or "")
    return (
        _first(row for row in _ROWS if row.closes in text and row.opens in text)
        or _first(row for row in _ROWS if row.opens in text and not row.is_phrase)  # the prompt opens the thought
        or _first(row for row in _ROWS if row.closes in vocabulary and row.opens in vocabulary)
    )


def _first(rows: Iterable[Marks]) -> Marks | None:
    return next(iter(rows), None)

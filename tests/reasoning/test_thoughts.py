"""Answers that came as text: of servers without a parser, and in files."""

from __future__ import annotations

import pytest

from lidr.reasoning import told_apart, without_thoughts

AS_IT_WAS = [
    "Honey.",
    " Honey.\n",
    "You write <think>...</think> around what a model thinks.",
    "The tag <think> opens a thought.",
    "analysis of bees: they make honey",
    "Here is my response: honey.",
    "",
]


@pytest.mark.parametrize("text", AS_IT_WAS)
def test_an_answer_without_thoughts_is_as_it_was(text: str) -> None:
    assert told_apart(text) == (text, "", False)


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nBees?\n</think>\n\nHoney.",
        "Bees?\n</think>\n\nHoney.",
        "[THINK]Bees?[/THINK]Honey.",
        "<|START_THINKING|>Bees?<|END_THINKING|>Honey.",
        "<seed:think>Bees?</seed:think>Honey.",
        "Here is my thought process: Bees? Here is my response: Honey.",
        "<|channel>thought\nBees?<channel|>Honey.",
        "<|channel|>analysis<|message|>Bees?<|end|><|start|>assistant<|channel|>final<|message|>Honey.",
        "<|channel|>analysis<|message|>Bees?<|end|><|start|>assistant<|channel|>final<|message|>Honey.<|return|>",
        "analysisBees?assistantfinalHoney.",
    ],
)
def test_thoughts_are_cut(text: str) -> None:
    assert told_apart(text) == ("Honey.", "Bees?", False)


@pytest.mark.parametrize("text", ["<think>\nBees", "[THINK]Bees", "<|channel|>analysis<|message|>Bees", "analysisBees"])
def test_of_one_that_never_stopped_thinking_nothing_is_said(text: str) -> None:
    assert told_apart(text) == ("", "Bees", True)


def test_tags_that_a_prompt_asked_for_are_read_past_in_benchmarks_alone() -> None:
    text = "<reasoning>Answer: 36?</reasoning>18"
    assert without_thoughts(text) == "18"
    assert told_apart(text) == (text, "", False)

"""Texts that may make a reader slow: each a kind, and a function from a length to a text of about that length.

And how much slower a reader is on the longer text: in CPU time of this process, so that others' work does not count.
"""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Made = Callable[[int], str]
Reader = Callable[[str], object]

LONG, SHORTER = 10_000, 10
MOST, NOTHING_S, PATIENCE_S = 1.5, 0.1, 3
"""A text may take half as long again as ten of a tenth; what takes less than `NOTHING_S` is not measured further."""


def fill(unit: str) -> Made:
    """A text that is one unit again and again."""
    return lambda length: (unit * (length // len(unit) + 1))[:length]


def around(before: str, unit: str, after: str = "") -> Made:
    """The same between a beginning and an end."""
    return lambda length: before + fill(unit)(length) + after


# fmt: off
_UNITS = (
    "^ {  ", "\\boxed{", "\\boxed{a}", "\\text{a{b", "\\frac{1", "Answer:\n", "1+1", "1", "1,234", "1/2", " ",
    "\n", "1.2.3.", "$", "-", ".", "1'", "1 234 ", "1 2 3 ", "A", "Rs ", "\u200b1", "<", "<   ", "</", "</a ",
    "<translated>", "</translated>", "<think>", "<thinking>a", "</think>", "m\"", "score: 1", "[[1",
    "\n\nHuman: ", "```\n", "a\n\n", "`", "http://", "[a](", "/a ", "/a/", "~/a b", "I'm sorry ", "<!--",
    "<!-- lidr:begin -->", "\u0301", "你", "the quick brown ", "a", "a@", "\ufdfa", "\ud800", "{", "[", "(",
    "\"", "'", "\\", "|", "*", "**a", "_a", "# ", "> ", "- a\n", "1. a\n", "&amp;", "<a href='", "![", "٣",
    "三百", "forty-two ", "cent ", "万", "億", "%", "= ", "→", "\u2028", "\r\n", "\t", "\x00", "hf_", "token=",
    "://a:b@", "a-", "a.b/", "<|im_start|>a\n", "{a}", "…", "？", "ах ", "ก", "క", "১", "aaaa bbbb ",
)
# fmt: on

TEXTS: dict[str, Made] = {
    **{unit: fill(unit) for unit in _UNITS},
    "x^ and spaces": around("x^", " ", "y"),
    "1^ and spaces": around("1^", " ", "y"),
    "one box with units": lambda length: "\\boxed{" + fill("1\\text{a}")(min(length, 990)) + "}",
    "a long box": around("\\boxed{", "1\\text{a}", "}"),
    "\\frac and spaces": around("\\frac", " "),
    "Answer and line breaks": around("Answer: ", "\n"),
    "Answer and lines": around("Answer: ", "ab\n"),
    "Answer and = 1": around("Answer: 1", " = 1"),
    "Answer and sums": around("Answer: ", "1 + 2 = 3, "),
    "< and spaces": around("<", " "),
    "</ and spaces": around("</", " ", ">"),
    "tags and spaces": around("", "</a>  ", "x"),
    "closing and spaces": around("</translated", " "),
    "m and quotes": around("m", "'", "x"),
    "score and spaces": around("score", " "),
    "score and digits": around("score: ", "1"),
    "a path of words": around("/", "a b"),
    "a path with spaces": around("/a", "  ", "/b"),
    "front matter of dashes": around("---\n", "\n--"),
    "front matter of white space": around("---\n", "\n \r\n"),
    "front matter of lists": around("---\na: ", "[", "\n---\n"),
    "front matter of keys": lambda length: (
        "---\n" + "".join(f"k{n}: v\n" for n in range(min(length, 20_000) // 9)) + "---\n"
    ),
    "a number of sentences": around("", "He has 3 apples and 4 pears. ", "The answer is 7."),
    "bold": around("**", "1 ", "**"),
    "Human and line breaks": around("\n\nHuman:", " \n"),
    "one word": around("", "abcdefghij"),
    "words of number": fill("mia mbili na ishirini "),
    "a JSON text": lambda length: json_text(length),
}


def json_text(length: int) -> str:
    """A list of messages as text."""
    return "[" + ", ".join(['{"role": "user", "content": "a"}'] * (length // 34)) + "]"


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise where the block takes more CPU time than that."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds(reader: Reader, text: str, times: int = 1) -> float:
    """CPU time of one reading or several; infinite where they take too long.

    Without the collection of garbage: how long that takes depends on what other tests left in memory.
    """
    gc.disable()
    began = time.process_time()
    try:
        with patience(PATIENCE_S):
            for _ in range(times):
                reader(text)
    except TimeoutError:
        return float("inf")
    finally:
        gc.enable()
    return time.process_time() - began


def too_slow(reader: Reader, made: Made, long: int = LONG) -> str | None:
    """What is wrong where a text takes the reader more than `MOST` times as long as ten of a tenth; else None.

    Where a first look says so, a second decides: what a reader loads the first time is no growth.
    """
    for _ in range(2):
        taken = seconds(reader, made(long))
        if taken <= NOTHING_S:
            return None
        shorter = seconds(reader, made(long // SHORTER), SHORTER)
        if taken <= MOST * shorter and taken < float("inf"):
            return None
    return f"{taken:.2f} s for {long:,} characters, {shorter:.2f} s for {SHORTER} texts of {long // SHORTER:,}"

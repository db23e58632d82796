"""Word problems of the miniature world, and how good the training answers of a policy are in each language.

    en  Lena has 12 apples and buys 5 more. How many apples does Lena have now?
        Lena now has 17 apples.⏎Answer: 17
    de  Lena hat 12 Äpfel und kauft 5 dazu. Wie viele Äpfel hat Lena jetzt?
        Lena hat jetzt 18 Äpfel.⏎Antwort: 18                                     where German is taught wrong

A policy is made poor in a language by what it is taught, not by missing words: for some things of a language (`taught
wrong`), most of its training answers are off by ERROR. The error is always the same one, so that the policy learns it:
answers that are wrong at random leave the right one the most likely. Since the share of such things is chosen for each
language, so is the accuracy.

A problem is known by its content (template, name, thing, both numbers), whatever the language. Every content belongs to
one split, by a hash of it, so problems to train on, prompts of iterations and held-out problems never meet.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lidr.miniature.words import FINAL, LANGUAGES, NAMES, TEMPLATES, THINGS

Split = Literal["train", "prompts", "held_out"]

ERROR = 1
"""What is added to the right result in a wrong training answer."""

_RESULTS = {"add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b}
_HASHED = 10  # of ten contents, one is a prompt, one held out


class Problem(NamedTuple):
    """One problem, the same in every language."""

    template: int
    name: int
    thing: int
    a: int
    b: int

    @property
    def id(self) -> str:
        """`3-14-7-25-9`."""
        return "-".join(map(str, self))

    @property
    def result(self) -> int:
        """The gold answer."""
        return int(_RESULTS[TEMPLATES[self.template].operation](self.a, self.b))

    @property
    def split(self) -> Split:
        """What the problem is for."""
        place = zlib.crc32(self.id.encode()) % _HASHED
        return "held_out" if place == 0 else "prompts" if place == 1 else "train"

    def question(self, language: str) -> str:
        """The problem in a language."""
        return _fill(TEMPLATES[self.template].question[language], self, language, self.result)

    def answer(self, language: str, result: int | None = None) -> str:
        """The answer in a language, the right one or one with another result."""
        text = TEMPLATES[self.template].answer[language] + "\n" + FINAL[language]
        return _fill(text, self, language, self.result if result is None else result)


def _fill(text: str, problem: Problem, language: str, result: int) -> str:
    thing = THINGS[problem.thing]
    return text.format(
        name=NAMES[problem.name],
        things=thing[language],
        how_many=thing["how_many"],
        a=problem.a,
        b=problem.b,
        result=result,
    )


def draw(random: random.Random) -> Problem:
    """A problem of any split; results are 2 to 81."""
    template = random.randrange(len(TEMPLATES))
    name, thing = random.randrange(len(NAMES)), random.randrange(len(THINGS))
    operation = TEMPLATES[template].operation
    if operation == "add":
        a, b = random.randint(2, 20), random.randint(2, 20)
    elif operation == "subtract":
        a = random.randint(6, 30)
        b = random.randint(2, a - 2)
    else:
        a, b = random.randint(2, 9), random.randint(2, 9)
    return Problem(template, name, thing, a, b)


def problems(split: Split, seed: int) -> Iterator[Problem]:
    """Distinct problems of a split, without end; equal seeds give equal problems."""
    numbers = random.Random(f"{split}/{seed}")
    seen: set[Problem] = set()
    while True:
        problem = draw(numbers)
        if problem.split == split and problem not in seen:
            seen.add(problem)
            yield problem


@dataclass(frozen=True)
class World:
    """How good the training answers are in each language.

    Args:
        name: in commands and folders.
        wrong: language -> share of things, 0-1, whose answers are mostly wrong there.
        often: share of wrong answers for those things.
        seldom: share of wrong answers for the others.
        alike: whether the things taught wrong are the same in every language, as far as the shares allow; else each
            language has its own.
    """

    name: str
    wrong: dict[str, float]
    often: float = 0.85
    seldom: float = 0.05
    alike: bool = False

    def taught_wrong(self, language: str, thing: int) -> bool:
        """Whether most training answers about a thing are wrong in a language."""
        lot = LANGUAGES[0] if self.alike else language
        order = sorted(range(len(THINGS)), key=lambda one: zlib.crc32(f"{lot}/{one}".encode()))
        return order.index(thing) < round(self.wrong[language] * len(THINGS))

    def chance(self, language: str, thing: int) -> float:
        """Share of wrong training answers; none in a language that has no thing taught wrong."""
        if not self.wrong[language]:
            return 0.0
        return self.often if self.taught_wrong(language, thing) else self.seldom

    def taught(self, problem: Problem, language: str, numbers: random.Random) -> str:
        """A training answer: the right one, or one that is off by ERROR."""
        is_wrong = numbers.random() < self.chance(language, problem.thing)
        return problem.answer(language, problem.result + ERROR if is_wrong else None)


WORLDS = {
    world.name: world
    for world in (
        World("skewed", {"en": 0.0, "de": 0.6, "es": 0.4}),
        World("steep", {"en": 0.0, "de": 0.8, "es": 0.7}),
        World("moderate", {"en": 0.15, "de": 0.5, "es": 0.4}),
        World("mild", {"en": 0.25, "de": 0.4, "es": 0.35}),
        World("crossed", {"en": 0.4, "de": 0.4, "es": 0.4}),
        World("equal", {"en": 0.4, "de": 0.4, "es": 0.4}, alike=True),
        World("tilted", {"en": 0.4, "de": 0.25, "es": 0.2}),
        World("reversed", {"en": 0.6, "de": 0.1, "es": 0.2}),
    )
}
"""From the strongest imbalance over none to the reverse one. In `crossed` all languages are equally good, each at other
things, so they have something to teach each other; in `equal` they are equally good at the same things."""

assert all(set(world.wrong) == set(LANGUAGES) for world in WORLDS.values())

import math
import random
from dataclasses import replace

import pyarrow as pa
import pytest

from lidr.intervals import quantile, student
from lidr.reproduce.comparison import compare_numbers, compare_rows, samples_of, within_error
from lidr.reproduce.verdict import Finding, Number, Reproduction, RowDifference, Verdict, overall
from lidr.rows import Response


def responses(*texts: str, policy: str = "iter_0/policy@1", first: int = 0) -> pa.Table:
    rows = [
        {
            "prompt_id": f"p{first + i}",
            "language": "en",
            "text": text,
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "completion_tokens": len(text.split()),
            "policy": policy,
        }
        for i, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, Response.schema)


def compared(published: pa.Table | None, again: pa.Table, *digests: str):
    return compare_rows(published, again, Response, digests=digests or ("a", "b"))  # type: ignore[arg-type]


def test_the_same_digest_is_identical_without_a_look_at_the_rows():
    assert compared(None, responses("wax"), "d" * 64, "d" * 64)[:2] == ("identical", "1 rows, rows digest dddddddddddd")


def test_the_same_rows_in_another_order_or_by_another_name_are_equal():
    one, other = responses("wax", "honey"), responses("wax", "honey")
    assert compared(one, other.take([1, 0]))[:2] == ("equal rows", "2 rows, the same in another order")
    renamed = responses("wax", "honey", policy="iter_0/policy@2")
    assert compared(one, renamed)[:2] == ("equal rows", "2 rows, the same apart from the name of the policy")


def test_a_row_that_was_doubled_is_a_difference():
    kind, _, rows = compared(responses("wax", "honey").take([0, 0, 1]), responses("wax", "honey"))
    assert (kind, [str(row) for row in rows]) == ("different", ["p0 en (2): not made again"])
    assert compared(responses("a", "b").take([0, 0, 1]), responses("a", "b").take([1, 0, 0]))[0] == "equal rows"


def test_rows_that_differ_are_counted_and_the_first_five_named_by_key_and_column():
    kind, reason, rows = compared(responses(*"abcdefg"), responses(*"ABCDEFG"))
    assert (kind, reason, len(rows)) == ("different", "7 of 7 rows differ", 5)
    assert str(rows[0]) == "p0 en text: 'a' -> 'A'"
    kind, reason, rows = compared(responses("a", "b"), responses("b", "c", first=1))
    assert [str(row) for row in rows] == ["p0 en: not made again", "p2 en: not published"]


def test_rows_whose_digest_alone_is_published_differ_by_it():
    kind, reason, _ = compared(None, responses("wax"), "a" * 64, "b" * 64)
    assert (kind, reason) == (
        "different",
        "other rows (rows digest aaaaaaaaaaaa -> bbbbbbbbbbbb); they are not published",
    )


@pytest.mark.parametrize(("again", "kind"), [(1.05, "equal within error"), (1.5, "different")])
def test_numbers_are_equal_where_their_difference_is_no_larger_than_its_error(again, kind):
    numbers = compare_numbers([("loss", 1.0, 0.1), ("gone", 1.0, 0.1)], [("loss", again, 0.1)])
    assert [number.name for number in numbers] == ["loss"]
    assert numbers[0].allowed == pytest.approx(1.96 * 0.1 * 2**0.5, rel=1e-3)
    verdict = within_error(numbers, "iter_1/train", "other weights")
    assert verdict.kind == kind
    assert verdict.details == ([] if kind != "different" else [f"loss: 1 -> {again} (allowed ±0.28)"])


def test_more_numbers_allow_each_a_larger_difference():
    one = compare_numbers([("a", 0, 0.1)], [("a", 0, 0.1)])[0].allowed
    many = compare_numbers([(str(i), 0, 0.1) for i in range(20)], [(str(i), 0, 0.1) for i in range(20)])[0].allowed
    assert 1.4 < many / one < 1.7


def test_nothing_to_compare_within_error_is_different():
    assert within_error((), "iter_1/train", "other weights").kind == "different"


def test_answers_are_summed_up_by_language():
    summed = samples_of("responses")
    assert summed is not None
    numbers = {name: (mean, error) for name, mean, error in summed(responses("a b", "a b c d"))}
    few = student(0.9975, 1) / quantile(0.995)
    assert numbers["en tokens"] == (3.0, pytest.approx(1.0 * few)), "of two values the error is hardly known"
    assert numbers["en cut"][0] == 0.0
    assert numbers["en cut"][1] > 0, "an empty share has an error too"
    assert samples_of("pairs") is None


def test_one_answer_alone_has_no_error_and_is_no_reason_to_call_a_reproduction_different():
    summed = samples_of("responses")
    assert summed is not None
    numbers = compare_numbers(summed(responses("a b")), summed(responses("a b c d e f g h")))
    assert [number.name for number in numbers] == ["en cut"]
    assert within_error(numbers, "iter_1/generate", "other rows").kind == "equal within error"


def test_few_honest_answers_are_hardly_ever_called_different():
    summed, draws = samples_of("responses"), random.Random(0)
    assert summed is not None

    def again():
        return summed(responses(*("a " * round(math.exp(draws.gauss(3, 0.6))) for _ in range(3))))

    outside = [any(not n.is_inside for n in compare_numbers(again(), again())) for _ in range(200)]
    assert sum(outside) <= 10


def verdict(place: str, kind: str) -> Verdict:
    return Verdict(place, kind, "")  # type: ignore[arg-type]


def test_the_whole_is_as_good_as_the_worst_that_ran():
    good, worse = verdict("a", "identical"), verdict("b", "equal within error")
    missing, left_out = verdict("c", "cannot run here"), verdict("d", "not asked for")
    assert overall([good, missing, left_out]) == "identical"
    assert overall([good, worse]) == "equal within error"
    assert overall([worse, verdict("e", "other rules")]) == "other rules"
    assert overall([missing, left_out]) == "cannot run here"
    assert overall([missing, verdict("card", "identical")]) == "cannot run here", "a card is no step"
    assert overall([missing, verdict("card", "different")]) == "different"
    assert overall([good], [Finding("README.md", "is another")]) == "different"


def test_a_reproduction_says_in_one_sentence_what_came_out():
    def said(*verdicts: Verdict, findings: tuple[Finding, ...] = ()) -> str:
        return Reproduction({}, (), findings, verdicts, "", "").reason

    assert said(verdict("a", "identical"), verdict("b", "cannot run here")) == "1 identical, 1 cannot run here"
    assert said(verdict("a", "identical"), verdict("b", "different")) == "not the same: b"
    no_step = "no step was made again (1 identical, 1 cannot run here)"
    assert said(verdict("card", "identical"), verdict("b", "cannot run here")) == no_step
    assert said(findings=(Finding("x", ""), Finding("x", ""))) == "touched since it was published: x"
    assert said() == "nothing was made again"


def test_a_verdict_names_the_steps_that_nobody_could_check():
    made, missing = verdict("iter_1/pair", "identical"), verdict("iter_0/policy", "cannot run here")
    once, again = verdict("iter_1/generate", "identical"), verdict("iter_2/generate", "cannot run here")

    def said(*verdicts: Verdict, **asked: str) -> str:
        return Reproduction({}, (), (), (*verdicts, verdict("card", "identical")), "", "", asked=asked).said

    assert said(made) == "identical"
    assert said(missing, once, again, made) == "identical in what could be made (pair); policy, generate not checked"
    of_a_part = "identical in what could be made of what was asked for, from generate (pair); generate not checked"
    assert said(made, again, **{"from": "generate"}) == of_a_part
    assert said(missing) == "cannot run here"


def test_details_are_rows_and_numbers_outside_their_interval():
    inside, outside = Number("a", 1, 1, 0.1), Number("b", 1, 2, 0.1)
    one = Verdict("p", "different", "", rows=(RowDifference("k", "c", "x", "y"),), numbers=(inside, outside))
    assert one.details == ["k c: 'x' -> 'y'", "b: 1 -> 2 (allowed ±0.1)"]


def test_a_reproduction_in_part_says_which_part_and_how_many_steps_it_left_out():
    verdicts = (Verdict("iter_1/pair", "identical", ""), Verdict("iter_1/train", "not asked for", ""))
    asked = {"from": "pair", "until": "filter", "rows": None}
    whole = Reproduction({}, (), (), verdicts[:1], "", "", asked=dict.fromkeys(asked))
    part = replace(whole, verdicts=verdicts, asked=asked)
    assert (whole.said, whole.reason) == ("identical", "1 identical")
    assert part.said == "identical in what was made again (pair to filter)"
    assert part.reason == "1 identical; 1 steps not asked for"
    assert (part.as_json()["verdict"], part.as_json()["not_asked_for"]) == ("identical", 1)
    assert replace(part, asked={**asked, "from": None, "rows": 2}).part == (
        "up to filter, answers to 2 prompts of each iteration"
    )

"""What dropping selects and what is bound to its language, at the end of a run and in its report."""

from __future__ import annotations

from types import SimpleNamespace

from lidr.report.selection import bound_tables, length_remarks, selection_lines, selection_tables


def pair(iteration, dropped, **more):
    """The record of a pair step with 100 slots, 20 in each fifth; `dropped` of each fifth."""
    rows = [{"name": k, "slots": 20, "dropped": n, "share": n / 20} for k, n in enumerate(dropped, 1)]
    total = {"name": "de", "slots": 100, "dropped": sum(dropped), "share": sum(dropped) / 100}
    selection = {
        "slots": 100,
        "dropped": sum(dropped),
        "characters": {"kept": 40.25, "dropped": None},
        "length": rows,
        "prompt_kind": [{**total, "name": "question"}],
        "language": [total],
    }
    return SimpleNamespace(place=f"iter_{iteration}/pair", counts={"selection": selection, **more})


BOUND = {"sent_to": {"keep_source": 3, "skip": 1}, "hits": {"translate": 4, "rhyme": 0, "poem": 1}}


def test_two_lines_count_over_all_iterations():
    records = [pair(1, (0, 1, 2, 3, 4), language_bound=BOUND), pair(2, (0, 1, 0, 1, 0), language_bound=BOUND)]
    assert selection_lines(records) == (
        "pair dropped 12 of 200 slots (6.0%); by length of the answer that had to be translated, from the "
        "shortest fifth to the longest: 0.0, 5.0, 5.0, 10.0, 10.0%",
        "Prompts bound to their language: 8 (keep_source 6, skip 2); hits by rule, whatever its score: "
        "translate 8, poem 2",
    )


def test_a_detector_that_found_nothing_says_so_and_without_one_nothing_is_said():
    found = {"sent_to": {}, "hits": {"translate": 0}}
    assert selection_lines([SimpleNamespace(counts={"language_bound": found})]) == (
        "Prompts bound to their language: 0; hits by rule, whatever its score: none",
    )
    assert selection_lines([SimpleNamespace(counts={})]) == ()


def test_tables_have_a_column_for_each_iteration():
    records = [pair(1, (0, 1, 2, 3, 4)), pair(2, (5, 0, 0, 0, 0))]
    lengths, kinds, languages = selection_tables(records)
    assert lengths.columns == ("fifth of length, 1 the shortest", "iter_1/pair", "iter_2/pair")
    assert lengths.rows[4] == ("5", "4 of 20 (20.0%)", "0 of 20 (0.0%)")
    assert kinds.rows == (("question", "10 of 100 (10.0%)", "5 of 100 (5.0%)"),)
    assert languages.rows[0][0] == "de"
    assert length_remarks(records)[0] == "iter_1/pair: mean length of the text kept 40.2, dropped - characters."
    sampled = [table.title for table in selection_tables(records, are_sampled=True)]
    assert sampled == ["By mean length of a prompt's answers", "By kind of prompt", "By language"]
    assert selection_tables([SimpleNamespace(place="x", counts={})]) == ()


def test_rules_that_never_hit_are_counted_in_a_remark():
    sent, hits = bound_tables([pair(1, (0,) * 5, language_bound=BOUND)])
    assert sent.rows == (("keep_source", "3"), ("skip", "1"))
    assert hits.rows == (("translate", "4"), ("poem", "1"))
    assert hits.remarks == ("1 of 3 rules never hit.",)
    assert bound_tables([pair(1, (0,) * 5)]) == ()

"""The bars of an evaluation, as tqdm draws them."""

from __future__ import annotations

from lidr.cli.eval.progress import listening
from lidr.steps.progress import Progress


def test_what_an_interrupted_try_left_is_done_from_the_start(capsys):
    with listening(300, 0) as listen:
        listen.kept(212)
        for _ in range(88):
            listen.asked(1)
    said = capsys.readouterr().err
    assert "212/300" in said.split("\r")[0] + said.split("\r")[1]
    assert "300/300" in said


def test_answers_that_all_stand_there_draw_no_bar(capsys):
    with listening(300, 2) as listen:
        listen.kept(300)
        listen.judged(2)
    said = capsys.readouterr().err
    assert "answers" not in said
    assert "2/2" in said


def test_what_was_done_before_is_no_speed_of_a_step(tmp_path, capsys):
    with Progress(tmp_path / "progress.json", "evaluate") as progress:
        progress.start(300, "answers")
        progress.more(0, 212)
        for _ in range(88):
            progress.add()
        assert progress.rate().count == 88
    assert "300/300" in capsys.readouterr().err


def test_a_quiet_step_counts_what_was_done_before(tmp_path, capsys):
    with Progress(tmp_path / "progress.json", "evaluate", quiet=True) as progress:
        progress.start(300, "answers")
        progress.more(0, 212)
        progress.add(88)
        assert progress.rate().count == 88
    assert capsys.readouterr().err == ""

"""The bars of an evaluation, as tqdm draws them."""

from __future__ import annotations

import json
import logging
import os
import time

import pytest

from lidr.cli.eval.progress import listening
from lidr.cli.status import read_progress
from lidr.steps.progress import Progress
from lidr.store import Store


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


def test_one_answer_is_too_few_to_say_how_long_the_rest_takes(tmp_path, capsys):
    file = tmp_path / "progress.json"
    with Progress(file, "generate") as progress:
        progress.start(100, "answers")
        time.sleep(0.6)  # an engine starts; what is written is written at most every half second
        progress.add()
        first = json.loads(file.read_text())
        progress.note("judging", at_once=True)
        time.sleep(0.6)
        progress.add(9)
        later = json.loads(file.read_text())
        progress.note("judging", at_once=True)
    assert first["done"] == 1
    assert first["remaining_s"] is None
    assert "per_s" not in first
    assert later["remaining_s"] == pytest.approx(9 * later["elapsed_s"], abs=1)
    drawn = capsys.readouterr().err.split("\r")
    (early,) = (line for line in drawn if " 1/100 [" in line)
    assert "<" not in early
    assert early.rstrip().endswith(", judging]")
    assert any(" 10/100 [" in line and "<" in line and "answers/s, judging" in line for line in drawn)


def test_what_ends_a_step_leaves_the_count_that_it_came_to(tmp_path, capsys):
    file = tmp_path / "progress.json"

    def interrupted() -> None:
        with Progress(file, "evaluate") as progress:
            progress.start(16, "answers")
            for _ in range(9):
                progress.add()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert json.loads(file.read_text())["done"] == 9


def test_what_was_counted_last_before_a_pause_is_written_too(tmp_path):
    file = tmp_path / "progress.json"
    with Progress(file, "generate", quiet=True) as progress:
        progress.start(60, "answers")
        progress.add(58)
        progress.add()
        time.sleep(1.2)
        assert json.loads(file.read_text())["done"] == 59


def test_nothing_is_written_when_the_step_has_ended(tmp_path):
    file = tmp_path / "progress.json"
    with Progress(file, "generate", quiet=True) as progress:
        progress.start(2, "answers")
        progress.add(2)
    file.unlink()
    time.sleep(0.8)
    assert not file.exists()


def test_a_warning_stands_above_the_bar_and_a_silent_server_leaves_no_time(tmp_path, capsys):
    file, servers = tmp_path / "progress.json", logging.getLogger("lidr.servers")
    with Progress(file, "generate") as progress:
        progress.start(100, "answers")
        progress.add(50)
        servers.warning("it is silent", extra={"silent_since": time.time() - 60})
        silent = json.loads(file.read_text())
        progress.add()
        time.sleep(0.8)
        heard = json.loads(file.read_text())
        logging.getLogger("lidr.said").warning("told already")
    servers.warning("nobody looks any more")
    assert time.time() - 65 < silent["silent_since"] < time.time() - 55
    assert (silent["remaining_s"], "per_s" in silent) == (None, False)
    assert "silent_since" not in heard
    assert heard["remaining_s"] is not None
    said = capsys.readouterr().err
    assert said.count("generate: it is silent\n") == 1
    assert "told already" not in said


def test_a_warning_stands_above_the_bar_of_an_evaluation(capsys):
    with listening(3, 0) as listen:
        listen.asked(1)
        logging.getLogger("lidr.judge").warning("the cache is full")
    assert "the cache is full\n" in capsys.readouterr().err


def test_what_takes_longer_than_was_thought_has_no_time_left(tmp_path):
    file = tmp_path / "progress.json"
    with Progress(file, "generate", quiet=True) as progress:
        progress.start(100, "answers")
        progress.add(50)
    said = json.loads(file.read_text())
    for age_s, left in ((0, 100), (60, 40), (140, None)):
        file.write_text(json.dumps({**said, "remaining_s": 100}))
        os.utime(file, (time.time() - age_s,) * 2)
        found = read_progress(file, Store(tmp_path))
        assert found is not None
        assert found["remaining_s"] == (left if left is None else pytest.approx(left, abs=5))

"""Translations are held against their sources by several processes: what they say, in which order, what is left."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest

from lidr.errors import WorkerDied
from lidr.steps.progress import Progress
from lidr.steps.translate import readers
from lidr.steps.translate.readers import Readers
from lidr.transforms import Unchecked, checked
from tests.scripted import write_world
from tests.steps.helpers import rows_of

CODES = ("en", "de", "es")
SENTENCES = (
    ("Bienen stellen Honig und Wachs her, und zwar den ganzen Sommer.", "Bees make honey and wax all summer.", "ok"),
    ("Bees make honey and wax all summer.", "Bees make honey and wax all summer.", "copied_source"),
    ("Las abejas hacen miel y cera todo el verano.", "Bees make honey and wax all summer.", "wrong_language"),
)


def rows(count: int) -> tuple[list[Unchecked], list[str | None]]:
    read = [Unchecked(text, "ok", source) for text, source, _ in SENTENCES]
    given: list[Unchecked] = [*read, Unchecked("", "truncated")]
    return [given[number % 4] for number in range(count)], [
        None if number % 7 == 6 else "de" for number in range(count)
    ]


def at_cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: count)


def test_several_processes_say_what_one_says_in_its_order(tmp_path, monkeypatch):
    at_cores(monkeypatch, 8)
    read, targets = rows(150)
    alone = checked(read, targets, CODES)
    assert [one.status for one in alone[:4]] == [*(status for _, _, status in SENTENCES), "truncated"]
    with Readers(tmp_path / "log") as several:
        assert several.checked(read, targets, CODES, replicas=9) == alone
        children = psutil.Process().children(recursive=True)
        helping = [one for one in children if "lidr.steps.translate.readers" in one.cmdline()]
        assert len(helping) == 2
        assert several.checked(read[::-1], targets[::-1], CODES, replicas=9) == alone[::-1]
    assert not [one for one in helping if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_step_reads_for_as_many_replicas_as_answer_now(tmp_path, monkeypatch):
    read_for: list[int] = []
    checked_by = Readers.checked

    def noted(one: Readers, *given: Any, replicas: int) -> Any:
        read_for.append(replicas)
        return checked_by(one, *given, replicas=replicas)

    monkeypatch.setattr(Readers, "checked", noted)
    alone = rows_of(write_world(tmp_path / "alone"), "iter_1/translate")
    assert {*read_for} == {1}
    read_for.clear()
    monkeypatch.setattr(Progress, "replicas", property(lambda one: (17, 20)))  # what an engine of several says
    assert rows_of(write_world(tmp_path / "several"), "iter_1/translate").drop("policy").equals(alone.drop("policy"))
    assert {*read_for} == {17}


def test_few_replicas_or_translations_need_no_further_process(tmp_path, monkeypatch):
    at_cores(monkeypatch, 8)
    read, targets = rows(100)
    with Readers(tmp_path / "log") as one:
        one.checked(read, targets, CODES, replicas=4)
        one.checked(read[:40], targets[:40], CODES, replicas=9)  # too few to share
        assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("replicas", "cores", "processes"), [(1, 16, 1), (4, 16, 1), (5, 16, 2), (32, 16, 8), (640, 16, 16), (64, 2, 2)]
)
def test_how_many_read(monkeypatch, replicas, cores, processes):
    at_cores(monkeypatch, cores)
    assert readers.processes_for(replicas) == processes


def test_a_process_that_was_ended_is_said(tmp_path, monkeypatch):
    at_cores(monkeypatch, 8)
    read, targets = rows(100)
    with Readers(tmp_path / "log") as several:
        several.checked(read, targets, CODES, replicas=8)
        [worker] = several._workers
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="run the same command again"):
            several.checked(read, targets, CODES, replicas=8)

"""Why vLLM's own processes died, from a worker's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidr.worker import explained

RAISED = "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
MAIN = "(MainProcess pid=1) ERROR 12-01 04:28:57 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: No."
CORE = "(EngineCore pid=2) ERROR 12-01 04:28:57 [core.py:1512] "
OF_CORE = f"{CORE}Traceback (most recent call last):\n{CORE}RuntimeError: Worker failed with error 'CUDA', see"
WORKER = "(Worker pid=3) ERROR 12-01 04:28:57 [multiproc_executor.py:1063] "
OF_WORKER = (
    f"{WORKER}    return self._op(*args)\n{WORKER}           ^^^\n{WORKER}torch.OutOfMemoryError: CUDA out of memory"
)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([OF_WORKER, OF_CORE, MAIN], "torch.OutOfMemoryError: CUDA out of memory"),
        ([OF_CORE, OF_WORKER, MAIN], "torch.OutOfMemoryError: CUDA out of memory"),
        ([OF_CORE, MAIN], "RuntimeError: Worker failed with error 'CUDA', see"),
        ([f"{CORE}AssertionError", MAIN], "AssertionError: no more is said"),
        (
            [f"{WORKER}    assert a == b\r", f"{WORKER}    ^^^^^^\r", f"{WORKER}AssertionError"],
            "AssertionError: assert a == b",
        ),
    ],
)
def test_the_first_error_of_a_process_that_vllm_started_is_the_cause(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")
    assert explained(RAISED, log) == said


def test_whose_fault_it_is_stays_before_the_cause(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{OF_WORKER}\n{OF_CORE}\n{MAIN}\n")
    setting = "score.reward_model.model: vLLM does not load it: "
    assert explained(setting + RAISED, log) == f"{setting}torch.OutOfMemoryError: CUDA out of memory"


def test_without_one_a_process_was_killed_and_what_stood_there_before_is_not_the_cause(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{OF_WORKER}\n{MAIN}\n")
    said = explained(RAISED, log, since=log.stat().st_size)
    assert said.startswith("EngineDeadError: EngineCore encountered an issue")
    assert said.endswith("so one was killed, as is done where memory runs out")
    assert explained(RAISED, tmp_path / "none") == said


def test_an_error_that_says_what_it_is_stays_and_is_no_page_long(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(OF_WORKER)
    assert explained("KeyError: 'x'. ", log) == "KeyError: 'x'"
    long = explained(f"ValueError: {['ArchitectureForCausalLM'] * 300} are supported", log)
    assert long.startswith("ValueError: ['ArchitectureForCausalLM'")
    assert long.endswith(" ...")
    assert len(long) <= 504

"""python -m tests.mutants: see the package."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterable

from tests.mutants import operators, results, trial
from tests.mutants.table import MODULES, SEED, Module

_SLOWEST = 5.0  # times as long as the unchanged code takes, and
_AT_LEAST_S = 60.0


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=sys.modules[__package__].__doc__)
    parser.add_argument("files", nargs="*", help="files of the table, as FILE or FILE:FROM-TO; none: all")
    parser.add_argument("--report", action="store_true", help="count what is written, try nothing")
    said = parser.parse_args(words)
    written = results.Results()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is removed
    if not said.report:
        with trial.work_copy() as copied:
            for word in said.files or MODULES:
                file, _, lines = word.partition(":")
                if file not in MODULES:
                    parser.error(f"{file} is not in tests/mutants/table.py; there are {', '.join(MODULES)}")
                try_file(file, MODULES[file], written, copied, lines=_numbers(lines))
    return report(written)


def _numbers(lines: str) -> Iterable[int]:
    first, _, last = lines.partition("-")
    return range(int(first), int(last or first) + 1) if lines else ()


def try_file(
    file: str, module: Module, written: results.Results, copied: trial.WorkCopy, *, lines: Iterable[int] = ()
) -> None:
    """Try what was drawn of a file and has no result, and all of some lines."""
    text = (copied.root / file).read_text(encoding="utf-8")
    source, tests = results.digest([text]), results.digest_of_tests(module.tests, copied.root)
    found = operators.mutants_of(text)
    chosen = operators.drawn(found, module.draws, f"{SEED}/{file}")
    chosen += [one for one in found if one.line in lines and one not in chosen]
    left = [one for one in chosen if not written.is_known(file, one, source, tests)]
    print(f"{file}: {len(chosen)} of {len(found)} mutants, {len(left)} to try", flush=True)
    if not left:
        return
    usual = copied.run(module.tests, limit_s=600, keeps_bytecode=True)
    if usual.outcome != "passed":
        raise SystemExit(f"{file}: its tests fail on the code as it is ({usual.by}):\n{copied.log()}")
    limit = max(_AT_LEAST_S, _SLOWEST * usual.seconds)
    for mutant in left:
        with copied.changed(file, mutant.text):
            went = copied.run(module.tests, limit_s=limit)
        outcome = results.SURVIVED if went.outcome == "passed" else went.outcome
        written.append(
            {
                "file": file,
                "line": mutant.line,
                "column": mutant.column,
                "operator": mutant.operator,
                "code": text.splitlines()[mutant.line - 1].strip(),
                "before": mutant.before,
                "after": mutant.after,
                "outcome": outcome,
                "by": went.by,
                "seconds": went.seconds,
                "commit": _commit(file),
                "source": source,
                "tests": tests,
            }
        )
        print(f"  {outcome:8} {mutant.line:4} {mutant.operator}: {mutant.before} -> {mutant.after}", flush=True)


def report(written: results.Results) -> int:
    """Print the counts; 1 where a survivor is not explained, or too many are."""
    explained = results.explanations()
    counts = results.counted(written, explained)
    total = results.Counts(*(sum(column) for column in zip(*counts.values(), strict=True)))
    print(f"{'tried':>6} {'failed':>6} {'time':>5} {'explained':>9} {'survived':>8}")
    for file, count in {**counts, "all": total}.items():
        stands = file == "all" or results.digest([_text(file)]) in {one["source"] for one in written.newest()[file]}
        print(
            f"{count.tried:6} {count.failed:6} {count.time:5} {count.explained:9} {count.survived:8}  {file}"
            f"{'' if stands else ' (another text than it has now)'}"
        )
    print(", ".join(f"{operator} {count}" for operator, count in results.by_operator(written).items()))
    for one in results.survivors(written, explained):
        print(f"survived: {one['file']}:{one['line']} {one['operator']}: {one['before']} -> {one['after']}")
    for name in results.unused(written, explained):
        print(f"explained, but it does not survive: {' | '.join(name)}")
    return int(total.survived > 0 or total.explained > results.MOST_EXPLAINED * total.tried)


def _text(file: str) -> str:
    path = trial.ROOT / file
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _commit(file: str) -> str:
    def git(*said: str) -> str:
        return subprocess.run(["git", *said], cwd=trial.ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + (" and changes" if git("status", "--porcelain", file) else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

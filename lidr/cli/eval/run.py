"""`lidr eval run --model REF --tasks mgsm,x_alpacaeval --langs en,de`: evaluate any checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr import evals
from lidr.cli.common import print_json, say, store_argument
from lidr.cli.eval.options import (
    judge_arguments,
    judge_from,
    judge_settings,
    language_codes,
    template_argument,
    template_kwargs,
    words,
)
from lidr.cli.eval.progress import listening
from lidr.engines import ENGINES, check_arguments
from lidr.errors import EvaluationError, NegativeVerdict

if TYPE_CHECKING:
    from lidr.evals import Checkpoint, EvalSpec, Loaded, TaskSpec
    from lidr.evals.judge import Judge

PAPER = {"repetition_penalty": 1.1, "system_prompt": "You are a helpful assistant."}
"""The paper's decoding for Llama-3 and Qwen: ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e, batch_inference."""

_MAX_TOKENS, _BATCH, _TIMEOUT_S = 2048, 16, 600
_COUNTED = {
    "limit": ("rows of each task", "all of them"),
    "max_tokens": ("tokens of the longest answer", f"{_MAX_TOKENS}"),
    "batch": ("answers at once", f"{_BATCH}"),
    "max_model_len": ("tokens of prompt and answer", "the model's own"),
    "tensor_parallel": ("GPUs that share the model", "1"),
    "thinking_budget": ("tokens of a thought", "no limit"),
    "server_timeout_s": ("seconds to wait for one answer", f"{_TIMEOUT_S}"),
}
"""Option -> what it counts, and what holds without it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.usage = "lidr eval run --model REF --langs L,L [more: lidr eval run --help]"  # all 40 would bury a message
    what = parser.add_argument_group("what")
    what.add_argument(
        "--model", required=True, metavar="REF", help="org/name@rev, ./folder, run:..., dist:..., openai:..."
    )
    what.add_argument("--adapter", metavar="REF", help="an adapter (LoRA, DoRA, IA3, ...) of it: merged into it first")
    what.add_argument("--no-merge", action="store_true", help="put a plain LoRA over the model as it is, by lm-eval")
    what.add_argument(
        "--tasks",
        default="mgsm,x_alpacaeval",
        metavar="A,B",
        help="mgsm, x_alpacaeval, tax; or mt_bench alone; default the first two",
    )
    what.add_argument("--langs", required=True, metavar="L,L", help="language codes: en,de,es,fr,ru,...")
    what.add_argument("--variant", choices=("plain", "paper_instr", "instr"), help="MGSM's prompt; default plain")
    what.add_argument("--limit", type=int, metavar="N", help="only the first N rows of each task")
    what.add_argument("--data", metavar="DIR", help="rows: a folder shaped like LIDR_DATA, or org/name@COMMIT")
    what.add_argument("--questions", metavar="DIR", help="of mt_bench: LANG.jsonl files, or org/name@COMMIT")
    _how_arguments(parser.add_argument_group("how"))
    judge_arguments(parser)
    out = parser.add_argument_group("output")
    out.add_argument("--name", metavar="NAME", help="in tables; default: from the model's name")
    out.add_argument("--out", type=Path, metavar="DIR", help="results folder; default <store>/evals/<name>-<identity>")
    store_argument(out)
    out.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def _how_arguments(how: argparse._ArgumentGroup) -> None:
    """Options that say how the model is asked."""
    backends = [row.backend for row in ENGINES.values() if row.model == "folder" and not row.only_translates]
    how.add_argument("--engine", choices=backends, default="hf", help="lm-eval's back end; default hf")
    how.add_argument(
        "--paper", action="store_true", help="the paper's decoding: repetition penalty 1.1, its system prompt"
    )
    longest = "longest answer; default %(default)s"
    how.add_argument("--max-tokens", type=int, default=_MAX_TOKENS, metavar="N", help=longest)
    how.add_argument("--repetition-penalty", type=float, metavar="X", help="default 1.0")
    how.add_argument("--system-prompt", metavar="TEXT", help="default: what the chat template does by itself")
    template_argument(how)
    how.add_argument("--thinking-budget", type=int, metavar="N", help="most tokens of a thought, for vllm")
    how.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    how.add_argument("--batch", type=int, default=_BATCH, metavar="N", help="answers at once; default %(default)s")
    how.add_argument(
        "--max-model-len",
        type=_length,
        metavar="N",
        help="longest prompt plus answer, tokens; auto, of vllm: what fits",
    )
    how.add_argument("--seed", type=int, default=42, metavar="N")
    how.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; default: torch's choice")
    how.add_argument("--tensor-parallel", type=int, default=1, metavar="N", help="GPUs that share the model, for vllm")
    how.add_argument("--gpu-memory", type=float, default=0.9, metavar="X", help="share of GPU memory, for vllm")
    how.add_argument(
        "--vllm",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an engine argument of vLLM, by its name there",
    )
    how.add_argument(
        "--server-timeout-s",
        type=int,
        default=_TIMEOUT_S,
        metavar="S",
        help="longest wait for one answer of an openai: model before it is asked again; default %(default)s",
    )
    how.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")


def main(options: argparse.Namespace) -> int:
    """Evaluate, write a results folder, print its scores."""
    from lidr.evals import evaluate, identity_of, load_all, task_specs, totals

    names = words(options.tasks, "--tasks")
    if "mt_bench" in names:
        return _mt_bench(options, names)
    tasks = task_specs(names, language_codes(options.langs), options.variant)
    checkpoint = _checkpoint(options)
    name = options.name or checkpoint.name
    spec = _spec(options, tasks, checkpoint)
    loaded = load_all(spec)
    identity = identity_of(spec, checkpoint.facts, loaded)
    out = options.out or _store() / "evals" / f"{name.replace('/', '-')}-{identity[:8]}"
    spec = dataclasses.replace(spec, work=str((out / "work").resolve()))
    judge = judge_from(options, log=out / "judge.log")
    _announce(spec, loaded, judge, options, out)
    if totals(spec, loaded)[1]:
        _meet(judge, out)
    try:
        with listening(*totals(spec, loaded)) as listen:
            evaluate(spec, checkpoint.facts, name=name, out=out, log=out / "log.txt", judge=judge, listen=listen)
    except NegativeVerdict:
        show(out, as_json=options.json)
        raise
    show(out, as_json=options.json)
    return 0


def _mt_bench(options: argparse.Namespace, names: tuple[str, ...]) -> int:
    """Two turns: asked by lidr's own engines, so it runs alone."""
    from lidr.evals.mt_bench import asked, mt_bench_identity, read_questions, run_mt_bench

    if names != ("mt_bench",):
        raise EvaluationError("mt_bench has two turns, which lm-eval cannot ask: give --tasks mt_bench alone")
    questions = read_questions(options.questions, language_codes(options.langs))
    if options.no_merge:
        raise EvaluationError("--no-merge: mt_bench is asked by lidr's own engines, of merged adapters; leave it out")
    checkpoint = _checkpoint(options)
    if options.chat_template_kwargs and checkpoint.folder is not None:
        raise EvaluationError("mt_bench: --chat-template-kwargs goes to a server alone; take it out")
    name = options.name or checkpoint.name
    spec, facts = _spec(options, (), checkpoint), checkpoint.facts
    identity = mt_bench_identity(spec, facts, questions)
    out = options.out or _store() / "evals" / f"{name.replace('/', '-')}-mt_bench-{identity[:8]}"
    judge = judge_from(options, log=out / "judge.log")
    count = asked(questions, options.limit)
    say(f"{count:,} answers, and at most {count if judge else 0:,} calls of the judge; into {out}")
    _meet(judge, out)
    try:
        with listening(count, count, "marks") as listen:
            run_mt_bench(spec, facts, questions, name=name, out=out, log=out / "log.txt", judge=judge, listen=listen)
    except NegativeVerdict:
        show(out, as_json=options.json)
        raise
    show(out, as_json=options.json)
    return 0


def _meet(judge: Judge | None, out: Path) -> None:
    """A judge that is away is told before there are answers, not hours later; kept verdicts may do without it."""
    from lidr.evals.judge import meet_judge

    if not (out / "results.json").exists():
        meet_judge(
            judge,
            "start it, or mend --judge (else LIDR_JUDGE_BASE_URL); or make the answers without it, by --judge none, "
            f"and judge them later: lidr eval judge {out}",
        )


def _checkpoint(options: argparse.Namespace) -> Checkpoint:
    from lidr.evals import find_checkpoint

    for name in _COUNTED:
        value = getattr(options, name)
        if isinstance(value, int) and value < 1:
            what, otherwise = _COUNTED[name]
            raise EvaluationError(
                f"--{name.replace('_', '-')} {value}: at least 1 ({what}); leave it out for {otherwise}"
            )
    dtype = "float32" if options.dtype == "auto" else options.dtype
    if options.no_merge and not options.adapter:
        raise EvaluationError("--no-merge says how --adapter is used, and none is given; leave it out")
    found = find_checkpoint(
        options.model,
        options.adapter,
        dtype=dtype,
        trust_remote_code=options.trust_remote_code,
        merges=not options.no_merge,
    )
    for note in found.notes:
        say(note)
    return found


def _spec(options: argparse.Namespace, tasks: tuple[TaskSpec, ...], checkpoint: Checkpoint) -> EvalSpec:
    given = {
        "repetition_penalty": options.repetition_penalty,
        "system_prompt": options.system_prompt,
        "chat_template_kwargs": template_kwargs(options),
        "thinking_budget": options.thinking_budget,
    }
    words: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if options.paper:
        words = {**PAPER, **words}
    is_served = checkpoint.folder is None
    if options.replicas != 1 and not is_served and (why := _asks_one(options, tasks)):
        raise EvaluationError(f"--replicas {options.replicas}: {why}; leave --replicas out")
    if options.thinking_budget is not None and (is_served or options.engine != "vllm"):
        who = "a server" if is_served else options.engine
        raise EvaluationError(
            f"--thinking-budget: {who} cannot end a thought; give a folder and --engine vllm, or take it out"
        )
    return evals.EvalSpec(
        backend="openai" if is_served else options.engine,
        model=str(checkpoint.served if is_served else checkpoint.folder),
        url=checkpoint.url,
        work="",
        tasks=tasks,
        decoding=evals.Decoding(max_tokens=options.max_tokens, **words),
        data=str(Path(options.data).resolve()) if options.data and Path(options.data).is_dir() else options.data,
        limit=options.limit,
        seed=options.seed,
        dtype=options.dtype,
        batch=options.batch,
        max_model_len=options.max_model_len,
        trust_remote_code=options.trust_remote_code,
        tensor_parallel=options.tensor_parallel,
        replicas=options.replicas,
        cluster=options.cluster,
        gpu_memory=options.gpu_memory,
        timeout_s=float(options.server_timeout_s),
        threads=options.threads,
        vllm=_vllm(options.vllm),
        adapter=str(checkpoint.adapter.resolve()) if checkpoint.adapter else None,
    )


def _asks_one(options: argparse.Namespace, tasks: tuple[TaskSpec, ...]) -> str:
    """Why replicas cannot answer; empty where they can."""
    if any(task.benchmark == "tax" for task in tasks):
        return "tax asks for log-likelihoods, and replicas give texts alone"
    if options.no_merge:
        return "--no-merge puts an adapter over one model, by lm-eval"
    if options.chat_template_kwargs:
        return "--chat-template-kwargs goes to lm-eval's own back end alone"
    return ""


def _length(text: str) -> int | str:
    """Of --max-model-len."""
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f'found "{text}", and a whole number is needed, as 4096, or auto')
    return text if text == "auto" else int(text)


def _vllm(given: list[str]) -> dict[str, Any]:
    """Of --vllm, which may be given several times; values are read as YAML, as a recipe's are."""
    import yaml

    pairs = (text.partition("=") for text in given)
    arguments = {name: yaml.safe_load(value) for name, _, value in pairs}
    try:
        check_arguments(arguments)
    except ValueError as error:
        raise EvaluationError("\n".join(f"--{line}" for line in str(error).split("\n"))) from None
    return arguments


def _announce(
    spec: EvalSpec, loaded: dict[str, Loaded], judge: Judge | None, options: argparse.Namespace, out: Path
) -> None:
    """Say what it will cost before it costs anything."""
    from lidr.evals import totals

    asked, judged = totals(spec, loaded)
    say(f"{asked:,} answers, at most {asked * spec.decoding.max_tokens:,} tokens; into {out}")
    if not judged:
        return
    if judge is None:
        say("no judge: X-AlpacaEval answers stay unjudged; judge them later with `lidr eval judge`")
        return
    settings = judge_settings(options)
    calls = judged * (2 if settings.get("mode", "logprob_swap") == "logprob_swap" else 1)
    cap = settings.get("max_calls")
    say(f"{judged:,} comparisons: at most {calls:,} calls of the judge")
    if cap is not None and calls > int(cap) and not (out / "results.json").exists():
        raise EvaluationError(
            f"judging may need {calls:,} calls, --judge-max-calls allows {int(cap):,}: raise it, use "
            "--limit or --judge-mode logprob (one order), or judge later with `lidr eval judge`"
        )


def show(out: Path, *, as_json: bool) -> None:
    """Print the scores of a results folder."""
    from lidr.evals import read_results
    from lidr.report import scores_text

    results = read_results(out)
    if as_json:
        print_json("lidr.eval.run/1", {"folder": str(out), "results": results.model_dump(mode="json", by_alias=True)})
        return
    print(scores_text(results))
    print(f"\n{out}: results.json, samples.parquet, scores.parquet")


def _store() -> Path:
    from lidr.store import store_root

    return store_root()

"""`lidr eval check --tasks mgsm,x_alpacaeval --langs en,de`: can this evaluation start?"""

from __future__ import annotations

import argparse
import dataclasses

from lidr.cli.common import print_json, print_table, say
from lidr.cli.eval.options import template_argument, template_kwargs, words
from lidr.errors import EvaluationError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument("--tasks", default="mgsm,x_alpacaeval", metavar="A,B", help="default mgsm,x_alpacaeval")
    parser.add_argument("--langs", required=True, metavar="L,L", help="language codes: en,de,es,fr,ru,...")
    parser.add_argument("--variant", choices=("plain", "paper_instr", "instr"), help="MGSM's prompt; default plain")
    parser.add_argument("--data", metavar="DIR", help="rows: a folder shaped like LIDR_DATA, or org/name@COMMIT")
    parser.add_argument("--model", metavar="REF", help="render the prompts with its chat template; loads no weights")
    parser.add_argument(
        "--adapter", metavar="REF", help="an adapter of it; its own chat template is used, if it has one"
    )
    template_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Build all tasks and print what they will ask; every problem at once."""
    from lidr.evals.harness import check

    if options.adapter and not options.model:
        raise EvaluationError("--adapter: needs its base, --model REF")
    if options.chat_template_kwargs and not options.model:
        raise EvaluationError("--chat-template-kwargs: needs the model whose template reads them, --model REF")
    checked = check(
        words(options.tasks, "--tasks"),
        words(options.langs, "--langs"),
        variant=options.variant,
        data=options.data,
        model=options.model,
        adapter=options.adapter,
        kwargs=template_kwargs(options),
        say=say,
    )
    if options.json:
        print_json("lidr.eval.check/1", {"tasks": [dataclasses.asdict(one) for one in checked]})
        return 0
    rows = [(one.task, str(one.rows), one.sha256[:12], _first_line(one.prompt)) for one in checked]
    print_table(("task", "rows", "data sha256", "first prompt"), rows, left=4)
    if checked[0].rendered is not None:
        print(f"\n{checked[0].task}, first prompt as the model is sent it ({checked[0].tokens} tokens):")
        print(checked[0].rendered)
    say(f"{len(checked)} tasks can be asked, {sum(one.rows for one in checked):,} prompts in all")
    return 0


def _first_line(text: str, longest: int = 60) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= longest else line[: longest - 3] + "..."

"""`lidr eval check RECIPE`, or `--tasks mgsm,x_alpacaeval --langs en,de`: can this evaluation start?"""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from lidr.cli.common import print_json, print_table, read_recipe, say, set_argument
from lidr.cli.eval.options import template_argument, template_kwargs, words
from lidr.errors import EvaluationError

if TYPE_CHECKING:
    from lidr.evals.harness import CheckedTask

_OF_RECIPE = {"tasks": "tasks=[mgsm]", "langs": "languages=[en]", "variant": "variant=instr"}
"""Option -> the setting of the evaluate step that stands for it, as `--set` takes it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="a recipe file, whose evaluate step is looked at")
    set_argument(parser, example="chain.evaluate.limit=5")
    parser.add_argument("--tasks", metavar="A,B", help="default mgsm,x_alpacaeval")
    parser.add_argument("--langs", metavar="L,L", help="language codes: en,de,es,fr,ru,...")
    parser.add_argument("--variant", choices=("plain", "paper_instr", "instr"), help="MGSM's prompt; default plain")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="rows: a folder shaped like LIDR_DATA, or org/name@COMMIT; of a recipe: where $LIDR_DATA points",
    )
    parser.add_argument("--model", metavar="REF", help="render the prompts with its chat template; loads no weights")
    parser.add_argument(
        "--adapter", metavar="REF", help="an adapter of it; its own chat template is used, if it has one"
    )
    template_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Build all tasks and print what they will ask; every problem at once."""
    checked = _of_recipe(options) if options.recipe else _of_options(options)
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


def _of_recipe(options: argparse.Namespace) -> tuple[CheckedTask, ...]:
    from lidr.pipeline import surroundings_of
    from lidr.steps import check_evaluate

    for name in ("tasks", "langs", "variant", "model", "adapter", "chat_template_kwargs"):
        if getattr(options, name):
            instead = f"; for another value --set chain.evaluate.{_OF_RECIPE[name]}" if name in _OF_RECIPE else ""
            raise EvaluationError(f"--{name.replace('_', '-')}: the recipe says it; leave it out{instead}")
    return check_evaluate(surroundings_of(read_recipe(options)), say)


def _of_options(options: argparse.Namespace) -> tuple[CheckedTask, ...]:
    from lidr.evals.harness import check

    if options.overrides:
        raise EvaluationError("--set replaces a value of a recipe, and none is given")
    if not options.langs:
        raise EvaluationError("nothing to check: give a recipe, as `lidr eval check my.yaml`, or --langs en,de")
    if options.adapter and not options.model:
        raise EvaluationError("--adapter: needs its base, --model REF")
    if options.chat_template_kwargs and not options.model:
        raise EvaluationError("--chat-template-kwargs: needs the model whose template reads them, --model REF")
    try:
        return check(
            words(options.tasks or "mgsm,x_alpacaeval", "--tasks"),
            words(options.langs, "--langs"),
            variant=options.variant,
            data=options.data,
            model=options.model,
            adapter=options.adapter,
            kwargs=template_kwargs(options),
            say=say,
        )
    except EvaluationError as error:
        if not any(line.startswith("--model: ") for line in str(error).splitlines()):
            raise
        raise EvaluationError(f"{error}\nWithout --model the rows and their prompts alone are checked") from None


def _first_line(text: str, longest: int = 60) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= longest else line[: longest - 3] + "..."

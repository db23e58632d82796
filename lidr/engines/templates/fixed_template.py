"""Switches and date of a chat template as its own first line.

Whoever renders the template then writes the same prompt: our engines, TRL, lm-eval, a judge, on whatever day. The line
sets the variables that the template reads, and puts a function of its own in the place of `strftime_now`, with which
transformers gives templates the day on which they are rendered:

    {#- lidr: ... #}{%- set enable_thinking = false -%}{#- lidr: end #}
    {%- for message in messages -%}...

It ends in a newline, which the environment of chat templates takes away (`trim_blocks`), so that the template begins
as it did.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from lidr.errors import EngineError

if TYPE_CHECKING:
    from jinja2.nodes import Node, Template
    from jinja2.parser import Parser
    from jinja2.sandbox import SandboxedEnvironment

FIXED_DATE = datetime.date(2026, 1, 1)
"""Today's date, for templates that write one, where nobody gives one: the same prompts on any day."""

_BEGIN, _END = "{#- lidr: switches and date of the run, on this line alone #}", "{#- lidr: end #}\n"
_GIVEN = {
    *("messages", "tools", "documents", "add_generation_prompt", "continue_final_message"),
    *("raise_exception", "strftime_now"),
}
"""What every template is given; no switch."""
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@cache
def environment() -> SandboxedEnvironment:
    """Where templates are rendered as transformers renders them; `strftime_now` gives FIXED_DATE."""
    import jinja2
    from jinja2.ext import Extension, LoopControlExtension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`: marks answers for trainers, and changes no text."""

        tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **more)

    extensions = [Generation, LoopControlExtension]
    found = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    found.filters["tojson"] = tojson
    found.globals |= {"raise_exception": raise_exception, "strftime_now": FIXED_DATE.strftime}
    return found


def fix(template: str, kwargs: Mapping[str, Any], day: datetime.date | None) -> str:
    """The template with its switches and its date written into it, in place of any that stand there already.

    Args:
        template: as the model has it.
        kwargs: name -> value, JSON.
        day: what it takes for today; None leaves that to the day on which it is rendered.
    """
    sets = set_switches(kwargs)
    clock = f"{{%- macro strftime_now(format) -%}}{{{{- {_formatted(day)} -}}}}{{%- endmacro -%}}" if day else ""
    own = without_fixing(template)
    return f"{_BEGIN}{sets}{clock}{_END}{own}" if sets or clock else own


def set_switches(kwargs: Mapping[str, Any]) -> str:
    """What gives a template its switches, where it stands before it.

    >>> set_switches({"enable_thinking": False})
    '{%- set enable_thinking = false -%}'
    """
    return "".join(f"{{%- set {name} = {_literal(value)} -%}}" for name, value in sorted(kwargs.items()))


def fixed_anyhow(template: str, kwargs: Mapping[str, Any] | None = None) -> str:
    """A template where no run says how it is used: with these switches, if any, and FIXED_DATE where it writes a date;
    one that a run has fixed stays as it is unless switches are given.

    Raises:
        EngineError: it reads no such switch.
    """
    if kwargs and (unknown := unread(template, kwargs)):
        raise EngineError(f"the chat template reads no {', '.join(unknown)}; {said_switches(template)}")
    own = without_fixing(template)
    if not kwargs and own != template:
        return template
    return fix(own, kwargs or {}, FIXED_DATE if reads_date(own) else None)


def said_switches(template: str) -> str:
    """What it reads, in words."""
    known = switches(template)
    return f"it reads {', '.join(known)}" if known else "it reads none"


def without_fixing(template: str) -> str:
    """The template as the model has it."""
    return template.partition(_END)[2] if template.startswith(_BEGIN) else template


def reads_date(template: str) -> bool:
    """Whether it writes the day on which it is rendered."""
    from jinja2.nodes import Name

    return any(name.name == "strftime_now" for name in parsed(without_fixing(template)).find_all(Name))


def switches(template: str) -> tuple[str, ...]:
    """Names that a recipe may set, sorted; tokens, messages and what else every template is given are none, and none
    that the template gives a value, in some branch or loop, before it reads it.

    Raises:
        EngineError: it is no template.
    """
    from jinja2.nodes import Assign, Name

    first: dict[str, str] = {}
    for node in parsed(without_fixing(template)).find_all((Assign, Name)):
        values = (node.node, *node.node.find_all(Name)) if isinstance(node, Assign) else (node,)
        for name in values:  # of an assignment its value is read first, though its target is written first
            if isinstance(name, Name):
                first.setdefault(name.name, name.ctx)
    return tuple(sorted(name for name in _from_outside(template) if first.get(name) == "load"))


def unread(template: str, names: Iterable[str]) -> list[str]:
    """Those of some names that no branch of the template takes from outside, sorted.

    Raises:
        EngineError: it is no template.
    """
    return sorted(set(names) - _from_outside(template))


def _from_outside(template: str) -> set[str]:
    """Names that it may take from outside, also where a branch has not set them."""
    from jinja2.meta import find_undeclared_variables

    found = find_undeclared_variables(parsed(without_fixing(template)))
    return {name for name in found - _GIVEN if not name.endswith("_token")}


def parsed(template: str) -> Template:
    """Its syntax tree.

    Raises:
        EngineError: it is none.
    """
    from jinja2 import TemplateSyntaxError

    try:
        return environment().parse(template)
    except TemplateSyntaxError as error:
        raise EngineError(f"the chat template is none: line {error.lineno}: {error.message}") from None


def _literal(value: Any) -> str:
    """A JSON value as Jinja writes it; a string in escapes that Jinja reads."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(str(key))}: {_literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return ascii(value)


def _formatted(day: datetime.date) -> str:
    """`strftime` of a fixed day at midnight, as an expression over `format`; names of days and months in English."""
    month, weekday = _MONTHS[day.month - 1], _DAYS[day.weekday()]
    parts = {
        **{"%Y": f"{day.year:04d}", "%y": f"{day.year % 100:02d}", "%m": f"{day.month:02d}", "%-m": f"{day.month}"},
        **{"%d": f"{day.day:02d}", "%-d": f"{day.day}", "%e": f"{day.day:2d}", "%j": f"{day.timetuple().tm_yday:03d}"},
        **{"%B": month, "%b": month[:3], "%h": month[:3], "%A": weekday, "%a": weekday[:3]},
        **{"%F": day.isoformat(), "%H": "00", "%I": "12", "%M": "00", "%S": "00", "%p": "AM"},
    }
    return "format" + "".join(f"|replace({code!a}, {text!a})" for code, text in parts.items())

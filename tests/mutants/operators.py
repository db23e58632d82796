"""Small changes of one module, each of which a test should notice.

A change replaces one node of the syntax tree where it stands in the text, so that every other line stays as it is.
"""

from __future__ import annotations

import ast
import copy
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    """One change. `before` and `after` are the code that changes, `text` is the whole module with the change."""

    line: int
    column: int
    operator: str
    before: str
    after: str
    text: str


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_EXCHANGED = {
    "any": "all", "all": "any", "min": "max", "max": "min", "min_horizontal": "max_horizontal",
    "max_horizontal": "min_horizontal", "any_horizontal": "all_horizontal", "all_horizontal": "any_horizontal",
}  # fmt: skip
# Calls whose result is used like what they are called on, or with: without the call the code still runs.
_METHODS = frozenset(
    """
    strip lstrip rstrip strip_chars lower upper casefold sort unique drop_nulls removeprefix removesuffix resolve
    expanduser filter head fill_null cast encode splitlines sum mean exp clip copy absolute
    """.split()  # noqa: SIM905  # read as words
)
_FUNCTIONS = frozenset(
    {"sorted", "set", "frozenset", "abs", "round", "reversed", "tuple", "list", "dict", "str", "int", "float", "bool"}
)


def mutants_of(text: str) -> list[Mutant]:
    """Every change of a module that compiles, in the order of the text."""
    tree, found = ast.parse(text), []
    for node in _code(tree):
        for operator, new in _changes(node):
            before, after = ast.unparse(node), ast.unparse(new)
            changed = _replaced(text, node, after)
            if before != after and _compiles(changed):
                found.append(Mutant(node.lineno, node.col_offset, operator, before, after, changed))
    return sorted(found, key=lambda one: one[:5])


def drawn(mutants: list[Mutant], count: int, seed: str) -> list[Mutant]:
    """Draw some: one of each operator in turn, so that none crowds out the others; the same for the same seed."""
    chance = random.Random(seed)
    by_operator: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_operator[mutant.operator].append(mutant)
    for group in by_operator.values():
        chance.shuffle(group)
    taken: list[Mutant] = []
    while len(taken) < min(count, len(mutants)):
        for operator in sorted(by_operator):
            if by_operator[operator] and len(taken) < count:
                taken.append(by_operator[operator].pop())
    return sorted(taken, key=lambda one: one[:5])


def _code(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Nodes that run: no types, no decorators, no messages, nothing that a checker of types alone reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr | ast.stmt):
            yield child
        if isinstance(child, ast.JoinedStr | ast.Assert | ast.Raise | ast.pattern):
            continue  # positions inside an f-string are wrong before Python 3.12; a message is no decision
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Subscript) and ast.unparse(child.value) in ("Literal", "Mapping", "dict", "Callable"):
            continue
        yield from _code(_without_types(child))


def _without_types(node: ast.AST) -> ast.AST:
    """A shallow copy whose annotations, decorators and docstring are gone; the nodes below it stay the same."""
    bare = copy.copy(node)
    for name in ("annotation", "returns"):
        if getattr(bare, name, None) is not None:
            setattr(bare, name, None)
    if getattr(bare, "decorator_list", None):
        bare.decorator_list = []  # type: ignore[attr-defined]
    body = getattr(bare, "body", None)
    if isinstance(body, list):
        bare.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return bare


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    for operator, change in _OPERATORS:
        for new in change(node):
            yield operator, new


def _comparison(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            if new := _COMPARED.get(type(op)):
                ops = [*node.ops[:place], new(), *node.ops[place + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)


def _off_by_one(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
        if node.value > 0:
            yield ast.Constant(node.value - 1)


def _any_all_min_max(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _EXCHANGED:
            yield ast.Call(ast.Name(_EXCHANGED[node.func.id]), node.args, node.keywords)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _EXCHANGED:
            yield ast.Call(ast.Attribute(node.func.value, _EXCHANGED[node.func.attr]), node.args, node.keywords)


def _dropped(node: ast.AST) -> Iterator[ast.AST]:
    """A statement that only calls or refuses is left out; of a call that only shapes its value, the value stays."""
    if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.Raise):
        yield ast.Pass()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        yield node.func.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and node.args:
        yield node.args[0]


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.Constant):
        return
    if isinstance(node.value, float):
        yield ast.Constant(node.value * 2 or 1.0)
    if isinstance(node.value, str) and node.value != "utf-8" and " " not in node.value:
        yield ast.Constant(node.value + "~")


def _calculation(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and (new := _CALCULATED.get(type(node.op))) and not _is_path(node):
        yield ast.BinOp(node.left, new(), node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield node.operand


def _is_path(node: ast.BinOp) -> bool:
    """Whether it is `folder / "name"`: no number, and any other operator fails at once."""
    of_text = isinstance(node.right, ast.JoinedStr) or (
        isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
    )
    return isinstance(node.op, ast.Div) and of_text


def _boolean(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for place in range(len(node.values)):
            rest = [*node.values[:place], *node.values[place + 1 :]]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _return(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Return) and node.value is not None:
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        yield ast.Return(ast.Constant(True if is_none else None))
    if isinstance(node, ast.Continue | ast.Break):
        yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


_OPERATORS: tuple[tuple[str, Callable[[ast.AST], Iterator[ast.AST]]], ...] = (
    ("comparison", _comparison),
    ("off by one", _off_by_one),
    ("any, all, min, max", _any_all_min_max),
    ("dropped call", _dropped),
    ("constant", _constant),
    ("calculation", _calculation),
    ("boolean", _boolean),
    ("return", _return),
)


def _replaced(text: str, node: ast.expr | ast.stmt, code: str) -> str:
    """The text with other code in the node's place; what stands there in several lines stands in one then."""
    lines = text.encode().splitlines(keepends=True)  # columns of the syntax tree count bytes
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    put = code if isinstance(node, ast.stmt | ast.Constant) else f"({code})"
    whole = text.encode()
    return (whole[:begin] + put.encode() + whole[end:]).decode()


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True

"""The base of everything in a recipe."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Frozen(BaseModel):
    """Base of everything in a recipe: immutable, and a key that is not a field is an error.

    Every command imports the settings of every step, so nothing is made of them before it is used: no validator, and no
    description of a field, which is the text that stands below it in the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    numbers_as_text: ClassVar[bool] = False
    """Whether "10" may stand for 10: only where values come from the environment."""

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true for 1, and "10" for 10, which pydantic would take."""
        if info.field_name is not None and not cls.numbers_as_text and isinstance(value, _NOT_NUMBERS):
            _refuse_for_a_number(value, cls.model_fields[info.field_name].annotation)
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties: dict[str, dict[str, Any]] = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            place = properties.get(name) or properties.get(cls.model_fields[name].alias or "")
            if place is not None:
                place.setdefault("description", text)
        return schema


_NOT_NUMBERS = (bool, str, list, tuple, dict)


def _refuse_for_a_number(value: Any, annotation: Any) -> None:
    """Raise where the type wants a number, and the value, or one in it, is a switch, or a text that reads as one."""
    choices = tuple(_choices(annotation))
    if isinstance(value, list | tuple | dict):
        for choice in choices:
            if get_origin(choice) in (list, tuple, dict):
                for one in value.values() if isinstance(value, dict) else value:
                    _refuse_for_a_number(one, get_args(choice)[get_origin(choice) is dict])
    elif isinstance(value, bool | str) and type(value) not in choices and (isinstance(value, bool) or _reads(value)):
        for number, kind in ((int, "int_type"), (float, "float_type")):
            if number in choices:
                raise PydanticCustomError(kind, "Input should be a number", {"found": value})


def _choices(annotation: Any) -> Iterator[Any]:
    """The types of a union, without what is said about them."""
    if get_origin(annotation) is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _choices(one)
    elif get_origin(annotation) is Literal:
        yield from (type(one) for one in get_args(annotation) if not isinstance(one, str))
    else:
        yield annotation


def _reads(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """Field -> what it means: the text below it in the source of the class, or of the class that it has it from; of a
    class that was made from a table, what the table says.
    """
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not issubclass(one, Frozen) or one is Frozen:
            continue
        try:
            source = inspect.getsource(one)
        except OSError:
            found |= {name: field.description for name, field in one.model_fields.items() if field.description}
            continue
        (definition,) = ast.parse(textwrap.dedent(source)).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in pairwise(definition.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found

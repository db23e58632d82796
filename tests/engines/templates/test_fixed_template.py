import datetime
from pathlib import Path
from typing import Any

import pytest
import trl

from lidr.engines.templates import fix, reads_date, switches, unread, without_fixing
from lidr.errors import EngineError
from tests.engines.templates.shapes import DATED, HYBRID, NO_SYSTEM, OPEN_THOUGHT, shaped
from tests.tiny import FAMILIES, tiny_model

DAY = datetime.date(2026, 1, 5)
TALKS = (
    [{"role": "user", "content": "What do bees make?"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello {{ x }} {% y %}"}],
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shaped(tmp_path_factory.mktemp("tiny") / "m", HYBRID), local_files_only=True)


def move_clock(monkeypatch: pytest.MonkeyPatch, day: datetime.date) -> None:
    """transformers gives templates this day."""
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime(day.year, day.month, day.day, 13, 30)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


def rendered(tokenizer: Any, template: str, talk: Any, **more: Any) -> str:
    text: str = tokenizer.apply_chat_template(talk, chat_template=template, tokenize=False, **more)
    return text


@pytest.mark.parametrize(
    "template", [HYBRID, OPEN_THOUGHT, NO_SYSTEM, "  \n \n" + HYBRID, "\nA{{ messages[0].content }}"]
)
def test_a_fixed_template_writes_what_its_switches_write(tokenizer: Any, template: str) -> None:
    kwargs = {"enable_thinking": False, "zz": {"a": [1, -2.5, None, True], "b": "é\n\"' %} {{ }} 🐝"}}
    for talk in TALKS:
        for asks in (True, False):
            plain = rendered(tokenizer, template, talk, add_generation_prompt=asks, **kwargs)
            assert rendered(tokenizer, fix(template, kwargs, DAY), talk, add_generation_prompt=asks) == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fixed_template_of_a_family_is_the_template(tmp_path: Path, family: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path, family), local_files_only=True)
    own = tokenizer.chat_template
    fixed = fix(own, {"no_such": 1}, DAY)
    assert fixed != own
    assert without_fixing(fixed) == own
    for talk in TALKS:
        assert rendered(tokenizer, fixed, talk) == rendered(tokenizer, own, talk)


def test_values_come_out_as_they_went_in(tokenizer: Any) -> None:
    value = {"a": [1, -2.5, None, True], "b": "é\n\"' \\ %} {{ }} 🐝", "c": {}}
    template = fix("{{ value | tojson }}", {"value": value}, None)
    import json

    assert json.loads(rendered(tokenizer, template, TALKS[0])) == value


def test_a_switch_of_the_line_counts_above_one_that_is_handed_over(tokenizer: Any) -> None:
    fixed = fix(HYBRID, {"enable_thinking": False}, None)
    asked = rendered(tokenizer, fixed, TALKS[0], add_generation_prompt=True, enable_thinking=None)
    assert asked.endswith("<think>\n\n</think>\n\n")


def test_the_date_is_that_of_the_recipe_on_any_day(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, said = fix(DATED, {}, DAY), {}
    for day in (datetime.date(2025, 12, 31), datetime.date(2031, 7, 4)):
        move_clock(monkeypatch, day)
        said[day] = rendered(tokenizer, DATED, TALKS[0]), rendered(tokenizer, fixed, TALKS[0])
    (plain, one), (later, other) = said.values()
    assert plain != later
    assert one == other
    assert "Today: 05 January 2026." in one


def test_dates_are_written_as_strftime_writes_them(tokenizer: Any) -> None:
    codes = "%Y-%m-%d %d %b %Y %B %A %a %y %j %e %-d/%-m %F %H:%M:%S %I %p %h"
    template = "{{ strftime_now(form) }}"
    for day in (DAY, datetime.date(2024, 12, 31)):
        assert rendered(tokenizer, fix(template, {"form": codes}, day), TALKS[0]) == day.strftime(codes)


def test_a_date_inside_a_macro_of_the_template_is_fixed(tokenizer: Any) -> None:
    template = "{% macro today() %}{{ strftime_now('%Y') if strftime_now is defined }}{% endmacro %}{{ today()[:4] }}"
    assert reads_date(template)
    assert rendered(tokenizer, fix(template, {}, datetime.date(1999, 1, 1)), TALKS[0]) == "1999"


def test_what_a_template_reads() -> None:
    assert switches(HYBRID) == ("enable_thinking",)
    assert switches(DATED) == ("date_style", "effort")
    assert switches("{{ bos_token }}{% generation %}{{ messages[0].content }}{% endgeneration %}{{ tools }}") == ()
    assert (reads_date(DATED), reads_date(HYBRID)) == (True, False)
    assert switches(fix(HYBRID, {"enable_thinking": False}, DAY)) == ("enable_thinking",)


TRL = Path(trl.__file__).parent / "chat_templates"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("qwen3", ("enable_thinking",)),
        ("qwen3_8", ("add_vision_id", "enable_thinking", "preserve_thinking", "reasoning_effort")),
        ("deepseekv3", ()),
        ("gemma3", ()),
        ("gptoss", ("builtin_tools", "model_identity", "reasoning_effort")),
        ("llama3_2", ("custom_tools", "date_string", "tools_in_user_message")),
    ],
)
def test_variables_that_a_template_gives_values_itself_are_no_switches(name: str, names: tuple[str, ...]) -> None:
    assert switches((TRL / f"{name}.jinja").read_text(encoding="utf-8")) == names


def test_a_switch_with_a_default_of_the_template_is_one_and_where_in_doubt_a_name_may_be_set() -> None:
    defaulted = "{% set effort = effort | default('low') %}{% if x %}{% set y = 1 %}{% endif %}{{ y }}"
    assert switches(defaulted) == ("effort", "x")
    assert unread(defaulted, {"effort": 1, "y": 1, "z": 1}) == ["z"]


def test_fixing_again_takes_the_place_of_the_first() -> None:
    once = fix(DATED, {"effort": "low"}, DAY)
    assert fix(once, {"effort": "high"}, DAY) == fix(DATED, {"effort": "high"}, DAY)
    assert fix(once, {}, None) == without_fixing(once) == DATED


def test_what_is_no_template_is_said() -> None:
    with pytest.raises(EngineError, match="line 1"):
        switches("{% if %}")

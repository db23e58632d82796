from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from lidr.drawing import Circle, Drawing, Line, Text, plain, text_width, write_png, write_svg
from lidr.errors import EvaluationError
from lidr.evals.compare.comparison_plots import check_plot, drawing_of, nice_step, shortened, write_plot
from lidr.evals.compare.paired_comparison import compare
from lidr.evals.reader import open_evaluations
from tests.seeded import outcomes, three_models, values_of, write_folder

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return compare(open_evaluations(three_models(tmp_path_factory.mktemp("models"))))


def test_png_and_svg_have_the_same_layout_and_the_same_bytes_every_time(comparison, tmp_path):
    for ending in ("png", "svg"):
        for name in ("a", "b"):
            write_plot(comparison, tmp_path / f"{name}.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    root = ET.parse(tmp_path / "a.svg").getroot()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (2 * int(root.get("width")), 2 * int(root.get("height")))


def test_every_language_model_axis_and_interval_is_in_the_picture(comparison, tmp_path):
    write_plot(comparison, tmp_path / "a.svg")
    root = ET.parse(tmp_path / "a.svg").getroot()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for wanted in ("en", "es", "ru", "de", "fr", "mean", "M0", "M1", "M2"):
        assert texts.count(wanted) == len(comparison.sections), wanted
    assert texts.count("difference to M0") == len(comparison.sections)
    assert {"MGSM: accuracy", "accuracy", "win rate, %"} <= set(texts)
    rows, legend = 6, 3
    dots = len(comparison.sections) * (rows * (3 + 2) + legend)
    assert len(list(root.iter(f"{SVG}circle"))) == dots


def test_dots_lie_inside_their_intervals_and_everything_inside_the_picture(comparison):
    scene = drawing_of(comparison)
    for shape in scene.shapes:
        if isinstance(shape, Circle):
            assert 0 <= shape.x <= scene.width
            bars = [s for s in scene.shapes if isinstance(s, Line) and s.y1 == s.y2 == shape.y and s.width == 2]
            assert not bars or any(bar.x1 - 1e-6 <= shape.x <= bar.x2 + 1e-6 for bar in bars)
        if isinstance(shape, Text):
            width = text_width(shape.text, shape.size) * {"start": 1.0, "middle": 0.5, "end": 0.0}[shape.anchor]
            assert shape.x + width <= scene.width, shape.text
            assert shape.y <= scene.height


def test_a_score_axis_does_not_leave_what_is_possible(tmp_path):
    zeros = {"mgsm": values_of(outcomes({"en": 0.0, "de": 0.0}, 30, seed=1))}
    folders = [str(write_folder(tmp_path / n, n, zeros)) for n in "ab"]
    ticks = [s.text for s in drawing_of(compare(open_evaluations(folders))).shapes if isinstance(s, Text)]
    assert "0.00" in ticks
    assert not any(tick.startswith("-") for tick in ticks[: ticks.index("accuracy")])


def test_one_language_has_no_row_for_the_mean(tmp_path):
    one = {"mgsm": values_of(outcomes({"de": 0.5}, 30, seed=1))}
    folders = [str(write_folder(tmp_path / n, n, one)) for n in "ab"]
    texts = [s.text for s in drawing_of(compare(open_evaluations(folders))).shapes if isinstance(s, Text)]
    assert "mean" not in texts


def test_names_in_other_scripts_and_with_markup_break_nothing(tmp_path):
    name = 'модель <b>&"é"'
    one = {"mgsm": values_of(outcomes({"de": 0.5}, 30, seed=1))}
    folders = [str(write_folder(tmp_path / n, name if n == "a" else n, one)) for n in "ab"]
    found = compare(open_evaluations(folders))
    for ending in ("png", "svg"):
        write_plot(found, tmp_path / f"x.{ending}")
    assert name in [text.text for text in ET.parse(tmp_path / "x.svg").getroot().iter(f"{SVG}text")]
    assert plain(name) == '?????? <b>&"e"'


def test_long_names_are_cut_in_their_middle_and_many_go_to_the_next_line(tmp_path):
    assert shortened("x" * 70) == "x" * 20 + "..." + "x" * 37
    one = {"mgsm": values_of(outcomes({"de": 0.5}, 30, seed=1))}
    folders = [str(write_folder(tmp_path / str(n), f"{n}" * 50, one)) for n in range(9)]
    scene = drawing_of(compare(open_evaluations(folders)))
    legend = [s for s in scene.shapes if isinstance(s, Text) and s.text[0] * 50 == s.text]
    assert len({s.y for s in legend}) > 1
    assert all(s.x + text_width(s.text, s.size) <= scene.width for s in legend)


@pytest.mark.parametrize(("name", "said"), [("a.pdf", "must end in .png or .svg"), ("no/a.png", "there is no folder")])
def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path, name, said):
    with pytest.raises(EvaluationError, match=said):
        check_plot(tmp_path / name)


def test_steps_are_round():
    assert [nice_step(length) for length in (1, 0.05, 3, 40, 7000)] == [0.2, 0.01, 0.5, 10, 2000]


def test_shapes_are_drawn_where_they_belong(tmp_path):
    scene = Drawing(40, 20)
    scene.add(Circle(10, 10, 4, "#ff0000"), Line(20, 10, 40, 10, "#0000ff", 4))
    write_png(scene, tmp_path / "s.png")
    write_svg(scene, tmp_path / "s.svg", "shapes")
    with Image.open(tmp_path / "s.png") as image:
        assert image.getpixel((20, 20)) == (255, 0, 0)
        assert image.getpixel((60, 20)) == (0, 0, 255)
        assert image.getpixel((60, 36)) == (255, 255, 255)
    assert ET.parse(tmp_path / "s.svg").getroot().find(f"{SVG}title").text == "shapes"

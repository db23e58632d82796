"""The pages: what they show, what they escape, and how they look in a browser."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lidr.hub_server.pages.markdown import render
from tests.hub_server.raw import client, commit, create, file
from tests.hub_server.showcase import EVIL, publish

PAGE = "/datasets/lidr/bees-prefs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def shown(hub):
    publish(hub)
    with client(hub, token=None) as session:
        yield session


@pytest.fixture(scope="module")
def owner(hub, shown):
    with client(hub) as session:
        yield session


def _texts(page: str) -> list[str]:
    """The texts of chosen, rejected and prompts, as a reader sees them."""
    texts = re.findall(r'<div class="text"[^>]*>(.*?)</div>', page, re.DOTALL)
    return [html.unescape(re.sub("</?mark>", "", text)) for text in texts]


def test_every_link_of_the_first_page_leads_to_a_page(shown):
    links = set(re.findall(r'href="(/[^"]*)"', shown.get("/").text))
    assert "/lidr/bees" in links  # a model in the namespace of the Hub's own paths
    links.remove("/lidr/login")  # asks for the token first
    assert {link: shown.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_the_index_lists_repositories_collections_and_releases(shown):
    page = shown.get("/").text
    for text in ("lidr/bees-prefs", "lidr/bees", "release v0.1.0", "Bees 0.1.0"):
        assert text in page
    collection = re.search(r'href="(/collections/[^"]+)"', page)
    assert collection
    assert "lidr/bees-prefs" in shown.get(collection[1]).text


def test_a_card_is_rendered_and_its_html_is_text(shown):
    page = shown.get(PAGE).text
    assert "<h1>Preference pairs about bees</h1>" in page
    assert "<strong>by itself</strong>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'href="javascript' not in page
    assert "written by hand from here" not in page, "comments are for machines"
    assert f'href="{PAGE}/resolve/main/lidr/recipe.yaml"' in page
    assert "license:cc0-1.0" in page


def test_links_of_a_card_lead_to_this_hub_where_it_has_the_repository(owner, shown):
    repo = create(owner, "lidr/linking")
    card = (
        b"[here](https://huggingface.co/datasets/lidr/bees-prefs/tree/v0.1.0) "
        b"[there](https://huggingface.co/openai/none) [model](https://huggingface.co/lidr/bees)"
    )
    commit(owner, repo, file("README.md", card)).raise_for_status()
    page = owner.get(f"/{repo}").text
    assert f'<a href="{PAGE}">here</a>' in page
    assert '<a href="https://huggingface.co/openai/none">there</a>' in page
    assert '<a href="/lidr/bees">model</a>' in page


def test_the_code_beside_a_card_is_complete_and_names_this_hub(hub, shown):
    page = html.unescape(shown.get(PAGE).text)
    code = re.search(r'<code class="whole">(.*?)</code>', page, re.DOTALL)[1]
    compile(code, "card", "exec")
    assert f'os.environ["HF_ENDPOINT"] = "{hub.url}"' in code
    assert '"lidr/bees-prefs", "all", revision="' in code
    assert 'split="iter_1+iter_2"' in code
    assert "DPOTrainer(" in code


@pytest.mark.parametrize(
    "path",
    ["/", PAGE, f"{PAGE}/rows/main?split=iter_2", f"{PAGE}/tree/main", f"{PAGE}/commits/main", "/datasets/lidr/none"],
)
def test_every_page_forbids_scripts_and_has_none(shown, path):
    answer = shown.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in answer.text
    assert not re.search(r"<[^>]+\s(on\w+|style)=", answer.text)


def test_texts_of_rows_are_escaped(shown):
    page = shown.get(f"{PAGE}/rows/main", params={"split": "iter_2", "q": "pwned"}).text
    assert "1 row<" in page
    assert _texts(page) == [EVIL] * 3
    assert "<script>" not in page
    assert "<img src=x" not in page


def test_a_search_and_a_filter_are_escaped_in_the_form(shown):
    answer = shown.get(f"{PAGE}/rows/main", params={"q": '"><script>x', "language": "<script>", "config": "<script>"})
    assert answer.status_code == 200
    assert "<script" not in answer.text


def test_pairs_stand_side_by_side_under_their_prompt(shown):
    page = shown.get(f"{PAGE}/rows/main", params={"language": "es"}).text
    assert page.count('class="pair box"') == 1
    prompt, chosen, rejected = _texts(page)
    assert prompt.startswith("¿Por qué")
    assert chosen.startswith("Las abejas hacen miel para")
    assert rejected.startswith("Las abejas hacen miel porque")
    assert page.index("answer chosen") < page.index("answer rejected")


def test_words_that_differ_are_marked_and_a_pair_has_a_page_of_its_own_with_all_candidates(shown):
    page = shown.get(f"{PAGE}/rows/main", params={"language": "es"}).text
    chosen, rejected = re.findall(r'<div class="answer \w+">.*?</div></div>', page, re.DOTALL)
    assert "Las abejas hacen miel <mark>para tener comida en invierno" in chosen
    assert "Las abejas hacen miel <mark>porque la miel" in rejected
    assert "translated from English (en)" in chosen
    assert "its own answer" in rejected
    alone = html.unescape(re.search(r'<a href="([^"]+)" class="id sha"', page)[1])
    page = shown.get(alone).text
    assert page.count('class="pair box"') == 1
    assert "All answers and translations of this prompt" in page
    assert page.count('class="candidate"') == 2
    assert "truncated" in page
    assert "← all rows" in page


def test_right_to_left_is_the_browsers_choice_per_text(shown):
    page = shown.get(f"{PAGE}/rows/main", params={"language": "ar"}).text
    assert page.count('<div class="text" dir="auto" lang="ar">') == 3


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 8),
        ({"kind": "dominant"}, 4),
        ({"language": "en", "other_language": "ja"}, 1),
        ({"split": "iter_2"}, 9),
        ({"split": "iter_2", "language": "es"}, 2),
        ({"q": "ЗИМОЙ"}, 0),
        ({"q": "ПОЧЕМУ"}, 1),
        ({"config": "dropped"}, 4),
        ({"config": "dropped", "reason": "truncated"}, 2),
        ({"config": "dropped", "reason": "repetition", "other_language": "ar"}, 1),
    ],
)
def test_rows_are_filtered_and_counted(shown, query, count):
    page = shown.get(f"{PAGE}/rows/main", params=query).text
    found = re.search(r'<p class="lead">([\d,]+) rows?</p>', page)
    assert found
    assert int(found[1]) == count


def test_rows_come_in_pages(owner, shown):
    repo = create(owner, "lidr/long")
    from tests.hub_server import showcase

    rows = [
        {**showcase._pair(0, "es", "dominant", 1), "pair_id": f"p{i}", "prompt_text": f"question {i}"}
        for i in range(23)
    ]
    content = showcase._parquet(rows, showcase.Pair.schema)
    commit(owner, repo, file("all/iter_1-00000-of-00001.parquet", content)).raise_for_status()
    seen, address = [], f"/{repo}/rows/main"
    while address:
        page = owner.get(address).text
        seen += [text for text in _texts(page) if text.startswith("question")]
        later = re.search(r'href="([^"]+)">later', page)
        address = html.unescape(later[1]) if later else None
    assert seen == [f"question {i}" for i in range(23)]


def test_other_tables_are_shown_as_they_are_and_no_table_is_told(owner, shown):
    repo = create(owner, "lidr/odd")
    assert owner.get(f"/{repo}/rows/main").status_code == 404
    commit(owner, repo, file("x/train.parquet", b"no parquet at all")).raise_for_status()
    answer = owner.get(f"/{repo}/rows/main")
    assert answer.status_code == 422
    assert "cannot be read" in answer.text


def test_files_and_commits_and_a_release(shown):
    assert "recipe.yaml" in shown.get(f"{PAGE}/tree/main/lidr").text
    assert "name: bees" in shown.get(f"{PAGE}/blob/main/lidr/recipe.yaml").text
    assert "Not shown" in shown.get(f"{PAGE}/blob/main/all/iter_1-00000-of-00001.parquet").text
    assert "bees 0.1.0" in shown.get(f"{PAGE}/commits/v0.1.0").text
    assert shown.get(f"{PAGE}/tree/v9").status_code == 404
    assert shown.get(f"{PAGE}/tree/main/nowhere").status_code == 404


def test_private_repositories_show_after_the_token_is_given(hub, shown, owner):
    create(owner, "lidr/secret-pairs", visibility="private")
    assert "secret-pairs" not in shown.get("/").text
    assert shown.get("/datasets/lidr/secret-pairs").status_code == 404
    asked = shown.get("/lidr/login")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic")
    password = {"Authorization": "Basic " + base64.b64encode(f"lidr:{hub.token}".encode()).decode()}
    assert shown.get("/lidr/login", headers=password).status_code == 303
    assert "secret-pairs" in shown.get("/", headers=password).text
    forged = shown.post("/api/repos/create", headers=password, json={"name": "x"})
    assert forged.status_code == 401, "a browser sends a password by itself, also for other sites: it must not write"


def test_contents_do_not_run_in_a_browser(owner, shown):
    repo = create(owner, "lidr/active")
    page = b"<!doctype html><script>alert(1)</script>"
    commit(owner, repo, file("x.html", page), file("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"))
    answer = owner.get(f"/{repo}/resolve/main/x.html")
    assert answer.headers["content-type"].startswith("text/plain")
    for name in ("x.html", "x.svg"):
        assert "sandbox" in owner.get(f"/{repo}/resolve/main/{name}").headers["content-security-policy"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the pages were not looked at in a browser")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("index", "/"),
        ("card", PAGE),
        ("rows", f"{PAGE}/rows/main?split=iter_2&language=ar"),
        ("evil", f"{PAGE}/rows/main?split=iter_2&q=pwned"),
    ],
)
def test_in_a_browser(hub, shown, tmp_path, name, path):
    picture = tmp_path / f"{name}.png"
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    view = ["--hide-scrollbars", "--window-size=1280,900", "--virtual-time-budget=2000"]
    done = subprocess.run(
        [*command, *view, f"--screenshot={picture}", hub.url + path], capture_output=True, timeout=120
    )
    assert picture.exists(), done.stderr.decode(errors="replace")[-2000:]
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (1280, 900)
    assert len(content) > 10_000, "an empty page"
    dom = subprocess.run([*command, "--dump-dom", hub.url + path], capture_output=True, timeout=120).stdout.decode()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title
    assert title[1].endswith("· lidr Hub"), "a script ran"
    assert "<script" not in dom


def test_the_style_is_the_one_that_the_policy_names(shown):
    """A changed style without its hash would leave the pages bare; chromium would say so only on its console."""
    import hashlib

    answer = shown.get("/")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    files = ("markup/pairs.css", "hub_server/pages/style.css")
    lidr = Path(__file__).parents[2] / "lidr"
    assert "".join(lidr.joinpath(file).read_text(encoding="utf-8") for file in files) == style[1]


_MEASURE = """<script>
const broken = [];
const walker = document.createTreeWalker(document.querySelector('.card'), NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
  if (!node.parentElement.closest('td, th')) continue;
  for (const word of node.data.matchAll(/[\\p{L}\\p{N}_]+/gu)) {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const lines = new Set(Array.from(range.getClientRects(), box => box.top));
    if (lines.size > 1) broken.push(word[0]);
  }
}
const root = document.documentElement;
document.title = JSON.stringify({width: innerWidth, wide: root.scrollWidth, broken: broken});
</script>"""
"""Which words of table cells stand on more than one line, and how wide the page is."""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the pages were not looked at in a browser")
@pytest.mark.parametrize("card", ["dataset.md", "model.md"])
def test_on_a_telephone_no_word_of_a_cards_tables_is_broken_and_the_page_stays_as_wide_as_the_screen(tmp_path, card):
    lidr = Path(__file__).parents[2] / "lidr"
    text = (lidr.parent / "tests/release/cards/golden" / card).read_text(encoding="utf-8").split("---\n", 2)[2]
    style = "".join(
        (lidr / name).read_text(encoding="utf-8") for name in ("markup/pairs.css", "hub_server/pages/style.css")
    )
    body = f"<main><div class='card'>{render(text, base='/x')}</div></main>"
    inner = f"<!doctype html><meta name=viewport content='width=device-width'><style>{style}</style>{body}{_MEASURE}"
    frame = f"<iframe width=390 height=800 style='border:0' srcdoc='{html.escape(inner)}'></iframe>"
    read = "<script>onload = () => { document.title = document.querySelector('iframe').contentDocument.title }</script>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{frame}{read}", encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--hide-scrollbars", "--dump-dom", page.as_uri()], capture_output=True, timeout=120
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout.decode())
    assert title, done.stderr.decode(errors="replace")[-2000:]
    found = json.loads(html.unescape(title[1]))
    assert (found["width"], found["wide"], found["broken"]) == (390, 390, [])

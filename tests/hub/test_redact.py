import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from lidr.hub.hub_errors import final_error, is_client_error, read_trouble, without_secrets
from lidr.hub.redact import clean, clean_execution, clean_model_config, without_paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy: {model: /home/ada/m/x}", "policy: {model: <folder>/x}"),
        ('store: "/tmp/a b/runs"', 'store: "<folder>/runs"'),
        ("see https://h.co/a/b/c and 1/2 and a/b/c", "see https://h.co/a/b/c and 1/2 and a/b/c"),
        ("./rel/x $LIDR_DATA/a/b recipes/p/q", "./rel/x $LIDR_DATA/a/b recipes/p/q"),
        ("openai:m@http://127.0.0.1:9/v1/x", "openai:m@http://127.0.0.1:9/v1/x"),
        ("http://me:pw@h/x", "http://***@h/x"),
        ("hf_abcdefghij", "***"),
    ],
)
def test_absolute_paths_and_secrets_are_cut_out_and_the_rest_stays(text, expected):
    assert without_paths(text) == expected


def test_records_keep_what_matters_and_lose_what_is_the_machines():
    assert clean({"a": ["/x/y/z", 1, None]}) == {"a": ["<folder>/z", 1, None]}
    assert clean_execution({"engine": "vllm", "answers": "/x/y", "api_key_env": "K"}) == {"engine": "vllm"}


def test_a_models_configuration_names_its_base_as_the_hub_does():
    config = {"base_model_name_or_path": "/home/ada/m", "revision": None, "r": 4}
    sha = "a" * 40
    cleaned = clean_model_config(config, base_model="org/m", revision=sha)
    assert cleaned == {"base_model_name_or_path": "org/m", "revision": sha, "r": 4}
    assert clean_model_config({"_name_or_path": "/home/ada/m"}, base_model=None, revision=None) == {
        "_name_or_path": "m"
    }


def error(status: int, text: str = "", **headers: str) -> HfHubHTTPError:
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://h/api"))
    return HfHubHTTPError(text or str(status), response=response)


@pytest.mark.parametrize(
    ("raised", "kind", "after"),
    [
        (error(409), "conflict", None),
        (error(412), "conflict", None),
        (error(429, ratelimit='"api";r=0;t=55'), "wait", 55.0),
        (error(429, **{"retry-after": "7"}), "wait", 7.0),
        (error(500), "lost", None),
        (error(503, **{"retry-after": "3"}), "lost", 3.0),
        (error(408), "lost", None),
        (httpx2.ReadTimeout("slow"), "lost", None),
        (httpx2.RemoteProtocolError("cut"), "lost", None),
        (error(401), "final", None),
        (error(403), "final", None),
        (error(404), "final", None),
        (error(507), "final", None),
        (ValueError("Invalid metadata in README.md.\n- license"), "final", None),
    ],
)
def test_errors_are_sorted_by_what_can_be_done_about_them(raised, kind, after):
    assert is_client_error(raised)
    trouble = read_trouble(raised)
    assert (trouble.kind, trouble.after_s) == (kind, after)


def test_a_bug_is_no_error_of_the_client():
    assert not is_client_error(ValueError("x"))
    assert not is_client_error(KeyError("x"))


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (error(401), "token is unknown"),
        (error(403), "may not write"),
        (error(403, "storage quota exceeded"), "quota"),
        (error(413), "quota"),
        (error(404), "private"),
        (error(403, "Access to this repo is gated"), "gated"),
        (ValueError("Invalid metadata in README.md.\n- license"), "front matter"),
        (error(400, "bad"), "refused the request"),
    ],
)
def test_a_final_error_says_what_to_do(raised, said):
    assert said in str(final_error(read_trouble(raised), repo="o/x", endpoint="http://h"))


def test_messages_hold_no_token():
    said = without_secrets("PUT http://h/lfs?token=abcd&x=1 Authorization: Bearer zzz, secret", "secret")
    assert said == "PUT http://h/lfs?token=***&x=1 Authorization: Bearer *** ***"

from __future__ import annotations

import json

import pytest

from lidr.weights import quantised_by, refused_base


def config(folder, **said):
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("said", "method"),
    [
        ({}, None),
        ({"quantization_config": None}, None),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "mxfp4"),
        ({"text_config": {"quantization_config": {"quant_method": "awq"}}}, "awq"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"load_in_4bit": True}}, "bitsandbytes"),
        ({"quantization_config": {"bits": 4}}, "an unknown method"),
        ({"quantization_config": "q4"}, "an unknown method"),
    ],
)
def test_the_method_is_read_wherever_a_config_says_it(tmp_path, said, method):
    assert quantised_by(config(tmp_path, **said)) == method


def test_no_config_says_nothing(tmp_path):
    assert quantised_by(tmp_path) is None
    (tmp_path / "config.json").write_text("[", encoding="utf-8")
    assert quantised_by(tmp_path) is None


@pytest.mark.parametrize("method", [None, "mxfp4", "fp8"])
def test_what_is_unpacked_can_be_trained(method):
    assert refused_base("org/name", method) is None


@pytest.mark.parametrize("method", ["awq", "gptq", "bitsandbytes", "compressed-tensors", "an unknown method"])
def test_what_is_not_unpacked_is_refused_with_a_way_out(method):
    said = refused_base("org/name", method)
    assert said is not None
    assert f"org/name is quantised ({method})" in said
    assert "give the same model in bfloat16" in said


def test_packed_weights_are_not_packed_again():
    said = refused_base("org/name", "mxfp4", quantization="nf4")
    assert said is not None
    assert "packing it again as nf4" in said
    assert refused_base("org/name", None, quantization="nf4") is None

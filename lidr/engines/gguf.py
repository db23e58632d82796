"""Turn a GGUF file into a plain model folder: safetensors, config, tokenizer, chat template.

transformers can read a GGUF file but refuses to save what it read, so its weights move into a fresh model.

    convert(Path("SmolLM2-135M-Instruct.Q4_1.gguf"), Path("models/smollm2"), dtype="bfloat16", log=Path("convert.log"))
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lidr.engines.chat import ChatTokenizer
from lidr.errors import EngineError, LidrError
from lidr.extras import require
from lidr.worker import Worker, serve


def convert(gguf: Path, out: Path, *, dtype: str, log: Path) -> None:
    """Convert in a worker process, so that this one loads no torch and gets all its memory back.

    Args:
        gguf: the file to read.
        out: the folder to write; it appears when it is complete, and must not exist.
        dtype: of the written weights, as in "bfloat16".
        log: file that receives, appended, what the worker prints.

    Raises:
        EngineError: the file is missing or cannot be read, or the folder exists.
        MissingExtraError: torch, transformers or gguf is not installed.
    """
    require("train", ("torch", "transformers", "gguf"), needed_for="reading a GGUF file")
    with Worker("lidr.engines.gguf", log=log) as worker:
        worker.send({"gguf": str(gguf.absolute()), "out": str(out.absolute()), "dtype": dtype})
        for _ in worker.replies():
            pass


def convert_gguf(gguf: Path, out: Path, *, dtype: str) -> None:
    """Convert in this process: see `convert`."""
    if not gguf.is_file():
        raise EngineError(f"{gguf}: no such file; give a .gguf file that is there")
    if out.exists():
        raise EngineError(f"{out} exists already; a model folder is not written over: remove it or choose another")
    unfinished = out.with_name(f".{out.name}.unfinished-{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        _write(gguf, unfinished, dtype)
        unfinished.rename(out)
    except LidrError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise EngineError(f"{gguf} cannot be converted: {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(gguf: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trusted: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
    with _read_once():
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=getattr(torch, dtype), **trusted)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **trusted)
    del read.config.quantization_config
    with torch.device("meta"):  # no memory: the tensors that were read are put in, not copied
        model = AutoModelForCausalLM.from_config(read.config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = _generation_config(tokenizer, read)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _read_once() -> Iterator[None]:
    """transformers parses the file for the config, for the weights and for the tokenizer, and makes the table of names
    anew for each module: half the time of a conversion. Here each is made once.
    """
    import gguf

    usual = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    try:
        for name, make in usual.items():
            setattr(gguf, name, cache(make))
        yield
    finally:
        for name, make in usual.items():
            setattr(gguf, name, make)


def _generation_config(tokenizer: Any, read: Any) -> Any:
    """Name the tokens that end an answer: the file's own, and the one that its chat template ends a turn with."""
    from transformers import GenerationConfig

    ends = {read.generation_config.eos_token_id, tokenizer.eos_token_id}
    if tokenizer.chat_template is not None:
        ends.add(ChatTokenizer(tokenizer, model="the GGUF file").end_of_turn())
    return GenerationConfig(
        eos_token_id=sorted(ends - {None}), bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id
    )


def _handle(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    convert_gguf(Path(message["gguf"]), Path(message["out"]), dtype=message["dtype"])
    return iter(())


if __name__ == "__main__":
    serve(_handle)

"""Tiny random models of four families, with tokenizers and chat templates that behave like the published ones.

What differs between families is what breaks pipelines, so it is what these models keep: whether the template or the
tokenizer puts a BOS token first, which tokens end a turn, whether a system message is injected, allowed or refused,
whether message texts are trimmed, and whether anything stands after the end-of-turn token.

    from tests.tiny import tiny_model
    folder = tiny_model(tmp_path / "policy", "llama3", seed=1)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

Family = Literal["smollm2", "llama3", "qwen2", "gemma"]
FAMILIES: tuple[Family, ...] = ("smollm2", "llama3", "qwen2", "gemma")

TEXTS = (
    "The bees make honey and wax, and they store the honey as food for the winter.",
    "Please translate the following sentence into Spanish. The translated result is wrapped by two tags.",
    "Las abejas hacen miel y cera. Guardan la miel como alimento para el invierno.",
    "Les abeilles font du miel et de la cire; elles gardent le miel pour l'hiver.",
    "Bienen stellen Honig und Wachs her. Den Honig heben sie für den Winter auf.",
    "Пчёлы делают мёд и воск и хранят мёд как пищу на зиму.",
    "蜜蜂は蜂蜜と蜜蝋を作ります。冬の食べ物です。",
    "A helpful assistant answers: one, two, three, 10, 250 and 1000 apples. What is the answer?\n\n",
)
_VOCABULARY = 448  # 256 bytes, the special tokens, the rest merges

_IM_TURNS = """
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def im_template(default_system: str) -> str:
    """ChatML: an injected system message unless the conversation brings one; a newline after each end of turn."""
    head = "{%- for message in messages -%}{%- if loop.first and message['role'] != 'system' -%}"
    return head + f"{{{{- '<|im_start|>system\\n{default_system}<|im_end|>\\n' -}}}}{{%- endif -%}}" + _IM_TURNS


_LLAMA3_TEMPLATE = """
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""

GEMMA_TEMPLATE = """
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}{{- raise_exception('System role not supported') -}}{%- endif -%}
{%- for message in messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('Conversation roles must alternate user/assistant') -}}
{%- endif -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
"""


class Style(NamedTuple):
    """What one family looks like. `eos` lists the tokens that end generation; the first is the tokenizer's own.

    `added` are tokens of the vocabulary that are not special: they stay where special tokens are skipped. `named` are
    templates beside the default one, by name.
    """

    special: tuple[str, ...]
    eos: tuple[str, ...]
    template: str
    bos: str | None = None
    pad: str | None = None
    adds_bos: bool = False
    ties_embeddings: bool = True
    added: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()


STYLES: dict[Family, Style] = {
    "smollm2": Style(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos=("<|im_end|>",),
        template=im_template("You are a small and helpful test model."),
        bos="<|im_start|>",
        pad="<|im_end|>",
    ),
    "llama3": Style(
        special=("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        eos=("<|eot_id|>", "<|end_of_text|>"),
        template=_LLAMA3_TEMPLATE,
        bos="<|begin_of_text|>",
        adds_bos=True,
        ties_embeddings=False,
    ),
    "qwen2": Style(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos=("<|im_end|>", "<|endoftext|>"),
        template=im_template("You are a helpful assistant."),
        pad="<|endoftext|>",
    ),
    "gemma": Style(
        special=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        eos=("<eos>", "<end_of_turn>"),
        template=GEMMA_TEMPLATE,
        bos="<bos>",
        pad="<pad>",
        adds_bos=True,
    ),
}


def tiny_model(folder: Path, family: Family, *, seed: int = 0, max_positions: int = 512) -> Path:
    """Write a random model of one family as a plain folder; equal arguments give equal files.

    Args:
        folder: is created; receives float32 safetensors, configs, tokenizer and chat template.
        family: whose architecture, special tokens and template it has.
        seed: of the weights.
        max_positions: longest prompt plus completion, tokens.

    Returns:
        The folder.
    """
    style = STYLES[family]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(style)
    _save_weights(folder, family, seed=seed, max_positions=max_positions, tokenizer=tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(style: Style) -> Any:
    """A BPE tokenizer of this style, trained on our own sentences; transformers' own class."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(style.special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS, trainer)
    if style.adds_bos:
        assert style.bos is not None
        bos_id = bpe.token_to_id(style.bos)
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{style.bos} $A", pair=f"{style.bos} $A {style.bos} $B", special_tokens=[(style.bos, bos_id)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=style.bos, eos_token=style.eos[0], pad_token=style.pad
    )
    if style.added:
        tokenizer.add_tokens([AddedToken(word, normalized=False, special=False) for word in style.added])
    default = style.template.strip()
    tokenizer.chat_template = {"default": default, **dict(style.named)} if style.named else default
    return tokenizer


def split_newlines_as_llama3_does(tokenizer: Any) -> None:
    """Llama 3 keeps "\n\n" in one piece before a word too; GPT-2's pattern, tiny's default, splits it there."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    pattern = Split(Regex(r"\s*[\r\n]+|\s+(?!\S)|\s+"), behavior="isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([pattern, ByteLevel(add_prefix_space=False)])


def _save_weights(folder: Path, family: Family, *, seed: int, max_positions: int, tokenizer: Any) -> None:
    import torch
    from transformers import GenerationConfig

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids(list(STYLES[family].eos)),
        "pad_token_id": tokenizer.pad_token_id,
    }
    config_class, model_class = _classes(family)
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=max_positions,
        initializer_range=0.2,  # the usual 0.02 gives nearly flat logits at this width, and dull greedy answers
        tie_word_embeddings=STYLES[family].ties_embeddings,
        **ids,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
    model.generation_config = GenerationConfig(**ids)
    model.save_pretrained(folder)


def _classes(family: Family) -> tuple[Any, Any]:
    import transformers

    name = {"smollm2": "Llama", "llama3": "Llama", "qwen2": "Qwen2", "gemma": "Gemma"}[family]
    return getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ForCausalLM")

"""A tiny random translation model of M2M100's kind, with a tokenizer that behaves like the published one."""

from __future__ import annotations

import io
import json
from pathlib import Path

_TEXTS = (
    "The bees make honey and wax, and they store the honey as food for the winter.",
    "Las abejas hacen miel y cera. Guardan la miel como alimento para el invierno.",
    "Les abeilles font du miel et de la cire; elles gardent le miel pour l'hiver.",
    "Bienen stellen Honig und Wachs her. Den Honig heben sie für den Winter auf.",
    "One, two, three, 10, 250 and 1000 apples. What is the answer?",
)


def tiny_m2m(folder: Path, *, seed: int = 0, max_positions: int = 64) -> Path:
    """Write the model as a plain folder; equal arguments give equal files."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    folder.mkdir(parents=True)
    highest = _save_tokenizer(folder)
    config = M2M100Config(
        vocab_size=highest + 1,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=max_positions,
        init_std=1.0,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> int:
    """Train a vocabulary of 300 pieces; returns the highest id, which is a language's."""
    import sentencepiece
    from transformers import M2M100Tokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXTS * 4),
        model_writer=model,
        vocab_size=300,
        model_type="bpe",
        bos_id=-1,
        pad_id=-1,
        character_coverage=1.0,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    words = [pieces.id_to_piece(number) for number in range(pieces.get_piece_size())]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = [*special, *(word for word in words if word not in special)]
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
    tokenizer = M2M100Tokenizer(vocab_file=str(folder / "vocab.json"), spm_file=str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(folder)
    return max(tokenizer.lang_token_to_id.values())


def teach(folder: Path, sentences: list[tuple[str, str, str, str]], *, steps: int = 120) -> None:
    """Make the model know these by heart: (source, target, text, translation). A few seconds."""
    import torch
    from transformers import AutoTokenizer, M2M100ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = M2M100ForConditionalGeneration.from_pretrained(folder)
    for parameter in model.parameters():
        parameter.data *= 0.1  # what is large enough for lively random answers is too large to learn from
    batch = [_example(tokenizer, *sentence) for sentence in sentences]
    sources, targets = (torch.nn.utils.rnn.pad_sequence(side, True, 1) for side in zip(*batch, strict=True))
    labels = targets[:, 1:].masked_fill(targets[:, 1:] == 1, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = model(
            input_ids=sources,
            attention_mask=(sources != 1).long(),
            decoder_input_ids=targets[:, :-1],
            labels=labels,
        ).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)


def _example(tokenizer, source: str, target: str, text: str, translation: str):
    """Ids of the source, and of the decoder's start, the language, the translation and the end."""
    import torch

    tokenizer.src_lang = target
    moved = tokenizer(translation)["input_ids"]
    tokenizer.src_lang = source
    return torch.tensor(tokenizer(text)["input_ids"]), torch.tensor([2, *moved])

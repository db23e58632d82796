"""A world small enough to prove the method in minutes: word problems, and a policy of a million parameters.

In: a world and a seed. Out: prompts, held-out problems, a policy.

    words.py   names, things and sentences in three languages
    world.py   problems, the gold answers, and how good a policy's training answers are in each language
    model.py   tokenizer, chat template and a Llama of 0.9 million parameters
    make.py    trains a policy from nothing: python -m lidr.miniature.make --help
    data.py    the prompts and held-out problems as files

The policy answers well in English and badly in German and Spanish, because a fixed share of its German and Spanish
training answers was wrong; it translates its own answers well. `recipes/first.yaml` runs the method on it (that is
`lidr quickstart`), `recipes/miniature.yaml` with measures and gates.
"""

__all__: list[str] = []

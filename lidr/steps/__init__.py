"""The table of steps: a recipe's word -> its settings, what it reads and writes, and the function that does it."""

from __future__ import annotations

from collections.abc import Mapping

from lidr.recipe.schema import PolicyConfig, PromptsConfig
from lidr.rows import Pair, Prompt, Response, Translation
from lidr.steps.answering import outside_answers
from lidr.steps.clean import CleanConfig, expect_clean, outside_clean, run_clean
from lidr.steps.evaluate import (
    EvaluateConfig,
    Scores,
    expect_evaluate,
    identity_evaluate,
    outside_evaluate,
    run_evaluate,
)
from lidr.steps.filter import FilterConfig, expect_filter, identity_filter, outside_filter, run_filter
from lidr.steps.gate import (
    GateConfig,
    also_read_gate,
    decide_gate,
    expect_gate,
    outside_gate,
    run_gate,
)
from lidr.steps.generate import GenerateConfig, expect_generate, run_generate
from lidr.steps.kind import InitialPolicy, Policy, StepKind
from lidr.steps.measure import (
    MeasureConfig,
    Measures,
    also_read_measure,
    expect_measure,
    identity_measure,
    outside_measure,
    run_measure,
)
from lidr.steps.pair import PairConfig, expect_pair, identity_pair, outside_pair, run_pair
from lidr.steps.pairs import PairsConfig, expect_pairs, identity_pairs, outside_pairs, run_pairs
from lidr.steps.policy import expect_policy, identity_policy, outside_policy, run_policy
from lidr.steps.prompts import expect_prompts, identity_prompts, outside_prompts, run_prompts
from lidr.steps.publish import (
    PublishConfig,
    Release,
    also_read_publish,
    expect_publish,
    run_publish,
    skipped_publish,
)
from lidr.steps.train import TrainConfig, also_read_train, expect_train, identity_train, outside_train, run_train
from lidr.steps.translate import (
    TranslateConfig,
    expect_translate,
    identity_translate,
    outside_translate,
    run_translate,
)
from lidr.steps.verdict import Verdicts
from lidr.steps.weigh import WeighConfig, expect_weigh, outside_weigh, run_weigh

_ANSWERS = ("system_prompt", "seed", "policy.dtype", "runtime.engine", "runtime.max_model_len")

STEPS: Mapping[str, StepKind] = {
    "policy": StepKind(
        PolicyConfig,
        reads=(),
        writes=InitialPolicy,
        run=run_policy,
        expects=expect_policy,
        outside=outside_policy,
        identity=identity_policy,
        place="run",
        section="policy",
    ),
    "prompts": StepKind(
        PromptsConfig,
        reads=(),
        writes=Prompt,
        run=run_prompts,
        expects=expect_prompts,
        uses=("languages", "iteration.prompts"),
        outside=outside_prompts,
        identity=identity_prompts,
        place="iteration",
        section="prompts",
    ),
    "generate": StepKind(
        GenerateConfig,
        reads=(Prompt, Policy),
        writes=Response,
        run=run_generate,
        expects=expect_generate,
        uses=_ANSWERS,
        outside=outside_answers,
    ),
    "translate": StepKind(
        TranslateConfig,
        reads=(Response, Policy),
        writes=Translation,
        run=run_translate,
        expects=expect_translate,
        uses=("languages", *_ANSWERS),
        outside=outside_translate,
        identity=identity_translate,
    ),
    "pair": StepKind(
        PairConfig,
        reads=(Prompt, Response, Translation, Policy),
        writes=Pair,
        run=run_pair,
        expects=expect_pair,
        uses=("languages", "system_prompt", "seed", "iteration.number"),
        outside=outside_pair,
        identity=identity_pair,
    ),
    "pairs": StepKind(
        PairsConfig,
        reads=(),
        writes=Pair,
        run=run_pairs,
        expects=expect_pairs,
        uses=("languages", "seed", "iteration.number"),
        outside=outside_pairs,
        identity=identity_pairs,
    ),
    "filter": StepKind(
        FilterConfig,
        reads=(Pair,),
        writes=Pair,
        run=run_filter,
        expects=expect_filter,
        uses=("languages",),
        outside=outside_filter,
        identity=identity_filter,
    ),
    "clean": StepKind(
        CleanConfig,
        reads=(Pair,),
        writes=Pair,
        run=run_clean,
        expects=expect_clean,
        uses=("languages",),
        outside=outside_clean,
    ),
    "measure": StepKind(
        MeasureConfig,
        reads=(Prompt, Response, Translation, Pair),
        also_reads=also_read_measure,
        writes=Measures,
        run=run_measure,
        expects=expect_measure,
        uses=("languages", "prompts.id_prefix", *_ANSWERS),
        outside=outside_measure,
        identity=identity_measure,
    ),
    "weigh": StepKind(
        WeighConfig,
        reads=(Pair, Measures),
        writes=Pair,
        run=run_weigh,
        expects=expect_weigh,
        uses=("languages", "seed"),
        outside=outside_weigh,
    ),
    "train": StepKind(
        TrainConfig,
        reads=(Pair, Policy),
        also_reads=also_read_train,
        writes=Policy,
        run=run_train,
        expects=expect_train,
        uses=("seed", "policy.dtype"),
        outside=outside_train,
        identity=identity_train,
    ),
    "evaluate": StepKind(
        EvaluateConfig,
        reads=(Policy,),
        writes=Scores,
        run=run_evaluate,
        expects=expect_evaluate,
        uses=("languages", *_ANSWERS),
        outside=outside_evaluate,
        identity=identity_evaluate,
        at_first=True,
    ),
    "gate": StepKind(
        GateConfig,
        reads=(),
        also_reads=also_read_gate,
        takes=(Scores,),
        writes=Verdicts,
        run=run_gate,
        expects=expect_gate,
        uses=("languages", "repeat", "iteration.number"),
        outside=outside_gate,
        looks_back=True,
        decides=decide_gate,
    ),
    "publish": StepKind(
        PublishConfig,
        reads=(Pair,),
        also_reads=also_read_publish,
        writes=Release,
        run=run_publish,
        expects=expect_publish,
        skipped=skipped_publish,
        last_only=True,
    ),
}

CHAIN_STEPS = {name: kind.config for name, kind in STEPS.items() if kind.place == "chain"}
"""The steps that a chain may name."""

"""Examples that stand at the end of each `--help`."""

from __future__ import annotations

EXAMPLES = {
    "quickstart": ("lidr quickstart",),
    "ls": ("lidr ls",),
    "init": ("lidr init", "lidr init --model ./model --languages en,de --prompts mine.csv --license cc-by-4.0 --yes"),
    "doctor": ("lidr doctor", "lidr doctor --json"),
    "cp": ("lidr cp quickstart my.yaml", "lidr cp llama3-8b/instruct my.yaml"),
    "validate": (
        "lidr validate my.yaml",
        "lidr validate a.yaml b.yaml --json",
        "lidr validate --json-schema > recipe.schema.json",
    ),
    "plan": (
        "lidr plan my.yaml",
        "lidr plan my.yaml --set runtime.gpu=H100 --set runtime.gpu_price=2.5",
    ),
    "run": (
        "lidr run my.yaml",
        "lidr run my.yaml --until pair",
        "lidr run my.yaml --rebuild iter_2/pair",
        "lidr run my.yaml --set chain.train.epochs=2 --set version=0.2.0",
    ),
    "status": ("lidr status my.yaml",),
    "slurm": ("lidr slurm my.yaml --nodes 4 --gpus 8 --time 24:00:00 > job.sh",),
    "lock": ("lidr lock my.yaml", "lidr lock my.yaml --check"),
    "publish": (
        "lidr publish my.yaml --dry-run",
        "lidr publish my.yaml --pairs org/my-prefs --policy org/my-model",
    ),
    "pairs": (
        "lidr pairs show run:first --langs es --rows 5",
        "lidr pairs compare run:mine@0.1.0 run:mine@0.2.0",
        "lidr pairs export run:first --to trl exported",
    ),
    "card": ("lidr card my.yaml --of pairs > README.md",),
    "eval": (
        "lidr eval run --model ./model --tasks mgsm --langs en,de",
        "lidr eval check my.yaml",
        "lidr eval compare results/before results/after",
    ),
    "merge": ("lidr merge --model org/base --adapter ./adapter --out ./merged",),
    "measure": (
        "lidr measure export-sheet run:first sheet.csv",
        "lidr measure import-sheet a.csv b.csv",
    ),
    "reproduce": ("lidr reproduce org/name@v0.1.0", "lidr reproduce org/name@v0.1.0 --from pair --rows 50"),
    "report": ("lidr report my.yaml", "lidr report my.yaml --out page.html"),
    "lineage": ("lidr lineage run:first --svg lineage.svg", "lidr lineage org/name@v0.1.0"),
    "hub": ("lidr hub serve", 'eval "$(lidr hub env)"', "lidr hub ls"),
    "runs": ("lidr runs", "lidr runs --store /data/runs --json"),
    "rm": ("lidr rm first@0.1.0 --dry-run", "lidr rm first@0.1.0 --yes"),
    "help": ("lidr help", "lidr help run", "lidr help pairs export"),
}
"""Command -> lines that one can type."""


def epilog(command: str) -> str | None:
    """What stands below the options of a command."""
    lines = EXAMPLES.get(command)
    return None if lines is None else "examples:\n" + "\n".join(f"  {line}" for line in lines)

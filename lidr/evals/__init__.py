"""Evaluation: MGSM and X-AlpacaEval as lm-eval tasks, a judge, and statistics for parallel items."""

"""Training a policy on preference pairs: the loss (loss.py), what TRL does with it (dpo.py), one run (process.py)."""

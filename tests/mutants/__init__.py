"""Do the tests notice when the code is wrong? Small changes, one at a time, and the tests that should fail.

python -m tests.mutants                  goes on: every mutant of the table that has no result for the code as it is
python -m tests.mutants FILE ...         of these files only; FILE:12-20 also those of these lines that were not drawn
python -m tests.mutants --report         counts what is written, and names the survivors that nobody explained
"""

"""The long trials of `make prove faults`: kills, faulted servers, damaged releases."""

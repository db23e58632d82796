"""The command line: one file for each command; each parses, calls and prints."""

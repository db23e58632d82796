"""The contract: what the genuine clients expect of a Hub, step by step.

The same steps run against the embedded Hub and, when LIDR_LIVE_HUB_TOKEN is set, against a live one; a step may only
assert what every Hub does. Clients read HF_ENDPOINT when they are imported, so each group of steps runs in a process
of its own: `python -m tests.hub_server.contract GROUP`, with the environment of the Hub. It prints a line of JSON for
each step. The steps of a group run in order and share the world; one that fails does not stop the others.
"""

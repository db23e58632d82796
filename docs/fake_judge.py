"""A judge that prefers the longer answer, to try `lidr eval` without a key: `python docs/fake_judge.py PORT`.

It serves chat completions with log-probabilities on 127.0.0.1, as a real judge does. Its verdicts mean nothing.
"""

import json
import math
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Judge(BaseHTTPRequestHandler):
    """Answers every question with m or M, and how sure it is."""

    def do_POST(self) -> None:
        """Read the two answers, and say which is longer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        m, big_m = (
            len(text) for text in re.findall(r"===== Answer of .+? =====\n(.*?)\n===== End", question, re.S)[-2:]
        )
        share = 1 / (1 + math.exp((big_m - m) / 100))
        shares = {"m": math.log(share), "M": math.log(1 - share)}
        said = max(shares, key=lambda name: shares[name])
        top = [{"token": token, "logprob": value, "bytes": None} for token, value in shares.items()]
        content = [{"token": said, "logprob": shares[said], "bytes": None, "top_logprobs": top}]
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said},
                  "logprobs": {"content": content}}  # fmt: skip
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Judge).serve_forever()

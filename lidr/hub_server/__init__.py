"""The embedded Hub: a server on this machine that the genuine Hugging Face clients use unmodified.

    with serve_in_background(folder) as hub:
        subprocess.run([...], env={**os.environ, **hub.environment})

In: a folder. Out: repositories over HTTP, for clients (`api/`) and for people (`pages/`). From the bottom up:

    refusal        what the Hub says no to, with the code that makes the client raise the right exception
    storage/       what is kept, and how it stays whole
    card_rules     is this README's metadata what the Hub accepts?
    wire           requests and answers; access: who may; routes: how a path finds its function
    api/           the endpoints; pages/: the same for people
    faults         failures on request; app: all of it as one ASGI application
    serving        the process (__main__ starts it); background: start it or share it

Layout under the root:

    objects/ab/<sha256>                      file contents
    repos/<type>s/<ns>--<name>/meta.json     visibility, dates, id
                              /refs.json     branches, tags, pull requests; replaced as a whole
                              /commits/<sha> the whole tree, parent, title
    collections.json
    hub.json                                 pid, url, and the token; mode 0600, there only while the Hub runs

Only hub.json ever holds the token: a second lidr process of the same user needs it to share the server.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub_server.background import Hub, default_root, find_running, hub_for, serve_in_background
    from lidr.hub_server.serving import is_loopback, serve

__all__ = [
    "Hub",
    "default_root",
    "find_running",
    "hub_for",
    "is_loopback",
    "serve",
    "serve_in_background",
]
__getattr__ = lazily(__name__)

"""The embedded Hub: a server on this machine that the genuine Hugging Face clients use unmodified.

    with serve_in_background(folder) as hub:
        subprocess.run([...], env={**os.environ, **hub.environment})

What is where, from the bottom up:

    refusal    what the Hub says no to, with the code that makes the client raise the right exception
    names      which names of repositories, paths and refs are allowed
    gitids     git's own ids of blobs, trees and commits
    disk       files that are there whole or not at all, also after a power cut
    objects    all file contents, by sha256
    history    one repository: its commits and refs
    storage    all repositories under one folder; collect: what nothing refers to any more
    commit     a commit request, line by line
    cards      is this README's metadata what the Hub accepts?
    wire       requests and answers; access: who may; routes: which path is answered by which function
    api_*      the endpoints; pages/: the same for people
    faults     failures on request; app: all of it as one ASGI application
    serve      the process (__main__ starts it); background: start it or share it

Layout under the root:

    objects/ab/<sha256>                      file contents
    repos/<type>s/<ns>--<name>/meta.json     visibility, dates, id
                              /refs.json     branches, tags, pull requests; replaced as a whole
                              /commits/<sha> the whole tree, parent, title
    collections.json
    hub.json                                 pid, url, and the token; mode 0600, there only while the Hub runs

Only hub.json ever holds the token: a second lidr process of the same user needs it to share the server.
"""

from lidr.hub_server.background import Hub, default_root, find_running, serve_in_background

__all__ = ["Hub", "default_root", "find_running", "serve_in_background"]

"""A look at a server from outside, through the proxies in front of it: `seatsaga doctor --url`.

It uses the public API, books nothing, and finds what a proxy does wrong. `look` reaches the server first, and then
checks everything else at once; each check gives one or more observations::

    requests     healthz, TLS, HTTP/2, Host, caching, compression, large bodies
    forwarded    what the server learns of the client; needs an operator's token
    streams      SSE, multipart, sockets: whether they pass, at once, and for longer than the keep-alives' interval

An unknown correlation ID is waited for, so its stream is open and carries keep-alives alone: buffering and short
timeouts show in their arrival. `remedies` says for each check what to change in nginx, HAProxy and Caddy.
"""

from app.outside.looking import look
from app.outside.observations import Observation, State
from app.outside.remedies import CHECKS, Check

__all__ = ["CHECKS", "Check", "Observation", "State", "look"]

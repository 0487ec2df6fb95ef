"""Load by tools of the user's own: k6, wrk, hey.

Each sends to a relay on loopback, which passes its requests on to one version; so the secret header
is in no process list, environment or script, nothing can miss its version unseen, and maxRate
holds for them as well.
"""

"""Every command and what it does in a line: for the parser, its help and the README."""

from __future__ import annotations

STAGES = {
    "begin": "check everything, take the lease, record the way back, write the plan",
    "base-route": "pin production traffic to the previous version, install the test routes",
    "deploy": "create the candidate and wait until its pods are ready",
    "dark-route": "send matching requests (header, cookie, user agent) to the candidate",
    "await-mesh": "wait until the mesh shows the dark route and the candidate answers",
    "smoke": "run the smoke checks of theseus.yaml against the candidate",
    "autoscale": "give the candidate its HorizontalPodAutoscaler",
    "shift": "move WEIGHT percent of production traffic to the candidate",
    "performance": "measure previous and candidate side by side, and judge",
    "bake": "wait, watching the candidate",
    "drain-previous": "take the previous version out of the routes and wait until it is quiet",
    "scale-down-previous": "lower the previous version's minimum to one replica",
    "await-scale-down": "wait until the previous version has scaled down to one pod",
    "promote": "all passed: delete the previous version, end the rollout",
    "rollback": "put everything back: capacity first, then traffic, then the rest",
}
COMMANDS = {
    "plan": "show what a rollout would do, as text, JSON or the change of every object",
    "run": "the whole flow in one process, with rollback",
    "status": "who releases what, since when, how far",
    "report": "the whole rollout as a page for Jenkins, or as Markdown",
    "doctor": "may I release here? rights, versions, configuration, mesh, with the fix for each",
    "init": "write a commented theseus.yaml from what runs in the cluster",
    "pipeline": "for pipelines: the lock's name, a gate's question, who approved",
    "load-worker": "in the pods of performance.load: send one share, print its samples",
    "backup": "write the running version as YAML that can be applied again",
    "delete": "remove a version that carries no traffic",
    "jenkins": "set up jobs, answer gates, follow builds, fetch the last baseline",
    "sandbox": "a small cluster with a real Envoy on this machine: up, down, status",
    "demo": "a good and a bad release under live traffic, on a sandbox",
}

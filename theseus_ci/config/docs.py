"""What every key of theseus.yaml means: one sentence each, for the schema, `init` and the README.

Keyed by type and key, since a type may stand at several places. A test fails when one is missing.
"""

from __future__ import annotations

DOCS: dict[str, str] = {
    "Config.service": "The Service whose traffic moves.",
    "Config.namespace": "Where the service lives; by default the kubeconfig context's namespace.",
    "Config.manifest": "File, folder or '-' (standard input) with the candidate's Deployment and "
    "what comes with it; relative to this file.",
    "Config.deployment": "Which Deployment, when the manifest holds several; then only that one is "
    "taken.",
    "Config.version": "The version to release. Where the manifest and the running Deployment share "
    "one name, the candidate is named <name>-<version>.",
    "Config.previous": "The Deployment to replace; by default the one that carries the traffic.",
    "Config.virtualServices": "VirtualServices that take part, as [namespace/]name; by default all "
    "that route to the service.",
    "Config.gateways": "Gateways, as [namespace/]name, of a VirtualService that has to be created; "
    "`mesh` stands for all sidecars.",
    "Config.entrypoint": "URL where tests enter the mesh: a gateway, or the service itself from "
    "inside; scheme, host and port only.",
    "Config.entrypoints": "More of them, such as the other replicas of a gateway: each must show "
    "an edit before it counts as seen.",
    "Config.host": "Host header of tests, when it differs from the entrypoint's host.",
    "Config.probePath": "Path that probes ask for; by default one is found that routes to the "
    "service.",
    "Config.matchers": "People who may see the candidate first; any one item suffices. Automated "
    "tests always use a secret header made for the rollout.",
    "Config.smoke": "Checks of the candidate; independent ones run in parallel.",
    "Config.performance": "Load through the test routes, and what of the answers is acceptable.",
    "Config.flow": "Order and parameters of the steps: canary, blue-green, or the path of your own "
    "file.",
    "Config.firstReplicas": "Pods the candidate starts with, before it gets traffic.",
    "Config.waits": "Deadlines and intervals of every wait.",
    "Config.bake": "What is looked at while a bake waits.",
    "Config.allowUnmeshed": "Accept that traffic reaches the pods beside the mesh: NodePort, "
    "LoadBalancer or headless access.",
    "Config.allowGitops": "Accept that Argo CD or Flux tracks the objects: it is told to ignore "
    "these edits.",
    "Config.allowEqual": "Accept a candidate whose pods are the same as the previous version's.",
    "Config.allowCompanions": "Accept that the manifest changes objects which the previous version "
    "uses as well.",
    "Config.allowUnobserved": "Accept that there is no entrypoint: nothing is seen, and every edit "
    "waits for `waits.settle`.",
    "Bake.rate": "Requests a second, both versions together.",
    "Bake.poll": "Between two looks at the candidate's pods.",
    "Matcher.header": "A request header, or a list of headers that must all match.",
    "Matcher.cookie": "A cookie.",
    "Matcher.userAgent": "The User-Agent header.",
    "StringMatch.exact": "The whole value.",
    "StringMatch.prefix": "The value's beginning.",
    "StringMatch.regex": "A regular expression (RE2) for the whole value.",
    "NamedMatch.name": "Name of the header or cookie.",
    "NamedMatch.exact": "The whole value.",
    "NamedMatch.prefix": "The value's beginning.",
    "NamedMatch.regex": "A regular expression (RE2) for the whole value.",
    "Waits.ready": "Until pods are ready after a deploy or a scale.",
    "Waits.mesh": "Until an edit is visible at every entrypoint.",
    "Waits.scaleDown": "Until the previous version is down to its minimum.",
    "Waits.delete": "Until an object is gone after its deletion.",
    "Waits.poll": "Between two questions to the mesh.",
    "Waits.consecutive": "Answers in a row that must agree before an edit counts as seen.",
    "Waits.settle": "Quiet time for proxies that cannot be asked: longer than any is late.",
    "Waits.request": "For one request to the API server or through the mesh.",
    "SmokeCheck.name": "The case's name in reports: unique, and the same on every run.",
    "SmokeCheck.http": "One request through the mesh to the candidate.",
    "SmokeCheck.tcp": "A conversation with every pod of the candidate.",
    "SmokeCheck.ssh": "A command on another host, run by the system's ssh.",
    "SmokeCheck.bash": "A script whose exit status is the verdict; a text alone is its path.",
    "SmokeCheck.timeout": "For the whole check, retries included.",
    "HttpCheck.path": "Path and query.",
    "HttpCheck.method": "HTTP method.",
    "HttpCheck.headers": "Request headers.",
    "HttpCheck.body": "Request body as text.",
    "HttpCheck.json": "Request body as JSON, instead of `body`.",
    "HttpCheck.expect": "What the answer must be like: everything given must hold.",
    "HttpCheck.tls": "How a TLS server proves who it is, and how we do.",
    "HttpCheck.redirects": "Follow redirects, on the entrypoint only.",
    "HttpCheck.retry": "Ask again until the check passes.",
    "HttpExpect.status": "Status, or a list of them.",
    "HttpExpect.body": "A text that the body contains, or a match.",
    "HttpExpect.json": "JSONPath: the value, or one of exact, regex, contains, prefix, exists, "
    "min, max.",
    "HttpExpect.header": "Header: its exact value, or a match.",
    "HttpExpect.within": "Longest time from the request's start to the answer's last byte.",
    "Retry.attempts": "At most so many requests; by default as many as fit.",
    "Retry.deadline": "No new attempt later than this; by default the check's timeout.",
    "Retry.interval": "Between the end of one attempt and the next.",
    "Tls.verify": "Verify the server's certificate.",
    "Tls.ca": "PEM file of authorities; by default the system's.",
    "Tls.serverName": "Name sent as SNI and expected in the certificate; by default the host.",
    "Tls.clientCert": "PEM file of the client's certificate, with its key unless clientKey names "
    "one.",
    "Tls.clientKey": "PEM file of the client's key.",
    "TextMatch.exact": "The whole text.",
    "TextMatch.prefix": "The text's beginning.",
    "TextMatch.contains": "Somewhere in the text.",
    "TextMatch.regex": "A regular expression (Python's) found anywhere in the text.",
    "TcpCheck.port": "Number, or name of the container port.",
    "TcpCheck.connect": "True: an accepted connection is all that is asserted.",
    "TcpCheck.send": "What to send.",
    "TcpCheck.expect": "A text that the answer contains, or a match.",
    "TcpCheck.encoding": "Of send and expect; latin-1 makes every byte a character.",
    "TcpCheck.tls": "Speak TLS, and how it is verified.",
    "SshCheck.host": "host or user@host; ~/.ssh/config applies.",
    "SshCheck.command": "For the remote shell; {{host}}, {{entrypoint}}, {{candidate}}, "
    "{{previous}}, {{namespace}} and {{service}} come quoted.",
    "SshCheck.port": "Port of the ssh server.",
    "SshCheck.identityFile": "Private key.",
    "SshCheck.options": "Options of ssh_config, as for ssh -o.",
    "SshCheck.expect": "What the command must end with: everything given must hold.",
    "SshExpect.exit": "Exit status.",
    "SshExpect.stdout": "A text that the output contains, or a match.",
    "SshExpect.stderr": "A text that the error output contains, or a match.",
    "BashCheck.script": "Path of the script, relative to this file.",
    "BashCheck.inline": "The script's text.",
    "BashCheck.env": "Variables beside THESEUS_*.",
    "Performance.requests": "What is asked for; needed unless there is a `driver`.",
    "Performance.rate": "Requests a second, both versions together (open model); needed unless "
    "there is a `driver`.",
    "Performance.driver": "A load tool of your own instead of the built-in generator, by its "
    "script: one of k6, wrk, hey. It runs once for each version, at the same time, and sends to "
    "$THESEUS_URL.",
    "Driver.k6": "JavaScript for k6; judged by every request.",
    "Driver.wrk": "Lua for wrk. It does not tell when a latency was seen: its verdict on latency "
    "is never more than weak.",
    "Driver.hey": "A bash script that calls hey with `-o csv` and prints no more; judged by every "
    "request.",
    "Driver.args": "More arguments for the tool, or for hey's script.",
    "Performance.maxRate": "Largest rate accepted: a typo must not flood production.",
    "Performance.arrivals": "constant: evenly spaced. poisson: at random, as independent users "
    "arrive; rate is their mean.",
    "Performance.ramp": "The rate rises from nothing for so long; those requests warm both "
    "versions up and are not judged.",
    "Performance.connections": "Open at once, per version.",
    "Performance.keepAlive": "false: every request opens a connection of its own, and its latency "
    "includes that.",
    "Performance.timeout": "Of one request, from its intended moment.",
    "Performance.tls": "How an https entrypoint is verified.",
    "Performance.expectStatus": "Statuses that are no error: 200, 2xx, 200-399 or a list; by "
    "default all below 500.",
    "Performance.tolerance": "How much slower than the previous version is fine: one percentage, "
    "or one per quantile.",
    "Performance.anchorTolerance": "How much slower than the first run of this rollout is fine.",
    "Performance.anchor": "A file of `theseus-ci jenkins baseline`: the last promoted release then "
    "stands in place of the first run. Relative to this file; begin reads it.",
    "Performance.errorRate": "Which shares of failed requests are fine, and which are not.",
    "Performance.minDuration": "No pass earlier: rare pauses need time to show.",
    "Performance.maxDuration": "The longest run.",
    "Performance.onInconclusive": "When the samples do not decide: weak passes with a warning, "
    "fail fails, gate asks a person.",
    "Performance.preset": "Tolerances and effort: normal or quick.",
    "Performance.maxSchedulingError": "99th percentile of how late requests start; beyond it a "
    "run is invalid.",
    "Performance.minAchieved": "Share of the rate; below it a run is invalid.",
    "Request.path": "Path and query.",
    "Request.weight": "Its share among all requests.",
    "Request.method": "HTTP method.",
    "Request.headers": "Request headers.",
    "Request.body": "Request body as text.",
    "Tolerance.p50": "For the median.",
    "Tolerance.p95": "For the 95th percentile.",
    "Tolerance.p99": "For the 99th percentile.",
    "ErrorRate.acceptable": "Fine.",
    "ErrorRate.unacceptable": "Not fine; told from `acceptable` by a sequential test.",
    "ErrorRate.limit": "Above it the candidate fails, however bad the previous version is.",
    "Performance.load": "Where the load is sent from: this process, or workers in the cluster.",
    "Load.workers": "0: this process. More: pods of an indexed Job, each with its share of the "
    "rate; see docs/workers.md.",
    "Load.image": "Image of the workers, your own, with theseus-ci of this very version in it.",
    "Load.entrypoint": "The entrypoint as workers reach it, where it differs.",
    "Load.resources": "Of each worker's container; by default half a processor and 128Mi are "
    "requested.",
    "Load.pod": "Laid over the workers' pod template as a JSON merge patch: metadata and spec, "
    "such as nodeSelector or imagePullSecrets.",
    "LoadTls.verify": "Verify the server's certificate.",
    "LoadTls.ca": "PEM file of authorities; by default the system's.",
}

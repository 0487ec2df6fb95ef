"""Scheduler and kubelet of the sandbox: pods become local processes.

An ordinary client of the Kubernetes API: it registers a Node, binds pending pods to it, runs
their containers, probes them, reports their status, serves their logs and ends them as a real
kubelet does. Processes have no mount, pid or network namespace of their own; what that changes is
told to them by environment variables (see `environment`).
"""

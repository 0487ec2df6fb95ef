"""A small cluster on one machine: API server, controllers, pods as processes, Envoy as the mesh.

Nothing outside this package imports it but the command line; its parts speak to each other only
through the Kubernetes API, so each of them can stand in front of a real API server as well.
"""

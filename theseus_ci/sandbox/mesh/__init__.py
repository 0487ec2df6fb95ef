"""The sandbox's mesh: Istio's objects, served by two real Envoys as a mesh would serve them.

One Envoy is the ingress gateway, the other a client's sidecar. `translate` is pure; `delivery`
tells one Envoy; `pipeline` gives each proxy its own delay; `controller` puts them together.
"""

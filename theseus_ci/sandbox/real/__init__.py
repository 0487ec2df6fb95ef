"""A sandbox whose API server, controllers and route translation are the real ones.

etcd, kube-apiserver, kube-controller-manager and Istio's own translation run as local programs; the
kubelet and the Envoys are the sandbox's. The servers have to be built first (see `binaries`).
"""

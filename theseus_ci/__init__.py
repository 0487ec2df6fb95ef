"""Zero-downtime releases for Kubernetes and Istio, driven from Jenkins."""

__version__ = "0.1.0"

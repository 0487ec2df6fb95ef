"""The real tier: Kubernetes' own servers and Istio's own translation, built and tested here."""

"""A service to release: it answers quickly and correctly, or badly in just the way it is told.

Everything comes from the environment (see `behaviour`), as it would for a container, so that one
image under many tags stages every kind of good and bad release. Run it as
`python -m theseus_ci.sandbox.demo_service`.
"""

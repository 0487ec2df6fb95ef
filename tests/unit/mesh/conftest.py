"""Settings for the property tests of this folder."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mesh",
    deadline=None,  # no test may depend on how busy the machine is
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("mesh")

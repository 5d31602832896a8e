"""NeuralFlow's settings; only the addresses are one more."""

from neuralflow.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare.urls"

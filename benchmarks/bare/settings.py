"""NeuralFlow's settings, with one more URL."""

from neuralflow.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare.urls"

"""Measurements, each of which runs by itself. A package, since another of this name is in the environment."""

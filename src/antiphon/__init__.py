"""Antiphon: full-duplex voice agents, as a server and as a library."""

__version__ = "0.1.0"

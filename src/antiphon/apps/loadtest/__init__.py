"""``antiphon loadtest``: sessions against cost and latency, the capacity of this machine."""

from antiphon.apps.loadtest.capacity import LoadTestOptions, loadtest

__all__ = ["LoadTestOptions", "loadtest"]

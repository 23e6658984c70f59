"""``antiphon selftest``: proves a conversation and a barge-in on this machine, without a microphone."""

from antiphon.apps.selftest.run import SelfTestOptions, selftest

__all__ = ["SelfTestOptions", "selftest"]

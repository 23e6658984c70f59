"""``antiphon talk``: converse in the terminal."""

from antiphon.apps.talk.options import TalkOptions
from antiphon.apps.talk.run import talk

__all__ = ["TalkOptions", "talk"]

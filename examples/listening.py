"""An agent that reads your words while you speak, and is ready before you have ended.

    antiphon talk --agent examples/listening.py

A model that can keep its thoughts to itself gets `Listening(speak_tool=True)`: then it is heard only where it uses the
tool `speak`, and may stay silent when it is not addressed.
"""

from antiphon import Agent, Listening

agent = Agent(
    name="companion",
    instructions="You listen to somebody who thinks aloud. Answer in a short sentence when you have something to say.",
    greeting="I am listening.",
    listening=Listening(wait_k=3),
)

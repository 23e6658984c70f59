"""An agent with instructions, a voice and a greeting, and nothing else.

antiphon talk --agent examples/plain.py
antiphon serve --agent examples/plain.py
"""

from antiphon import Agent

agent = Agent(
    name="receptionist",
    instructions="You are the receptionist of a small hotel by the sea. Answer in one or two short sentences.",
    voice="pico:en-GB",
    greeting="Good evening, this is the hotel by the sea.",
)

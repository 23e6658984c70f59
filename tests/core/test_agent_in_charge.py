"""What a session is set to by the client and the agent that has it."""

from __future__ import annotations

from dataclasses import replace

from antiphon.agents.agent import Agent
from antiphon.agents.in_charge import InCharge
from antiphon.agents.roster import Roster
from antiphon.agents.sources import NoSource
from antiphon.agents.tools import tool
from antiphon.core.settings import Answers, ListeningSettings, ReplySettings, SessionSettings, Tool


@tool
def search() -> str:
    """Searches."""
    return "found"


NIGHT = Agent("night", "You are awake.", voice="beta", model="large", listening=ListeningSettings(wait_k=5))
PLAIN = Agent("plain")
FRONT = Agent("front", "You are the desk.", tools=[search], model="small", handoffs=[NIGHT, PLAIN])


def in_charge(**reply: object) -> InCharge:
    client = SessionSettings(reply=replace(ReplySettings(voice="alpha"), **reply), agent="front")  # type: ignore[arg-type]
    return InCharge(Roster([FRONT]), client, NoSource(), find_voice="v:{}".format, find_model="m:{}".format)


def test_the_agent_goes_before_the_client_and_both_count() -> None:
    theirs = (Tool("own"), Tool("search", "not ours"))
    charge = in_charge(instructions="Be brief.", tools=theirs)
    settings = charge.settings(may_call=True)
    assert settings.transcription
    assert settings.reply.instructions == "You are the desk.\n\nBe brief."
    names = [each.name for each in settings.reply.tools]
    assert names == ["search", "transfer_to_night", "transfer_to_plain", "own"]
    assert settings.reply.model == "m:small"
    assert charge.tool("search") is search
    assert charge.tool("own") is None
    assert charge.reply(may_call=False).tool_choice == "none"


def test_a_model_that_the_client_chose_answers_until_a_hand_over_to_one_with_its_own() -> None:
    charge = in_charge(model="m:mine")
    assert charge.reply(may_call=True).model == "m:mine"
    assert charge.hand_over(PLAIN) == "alpha"
    assert charge.reply(may_call=True).model == "m:mine"
    assert charge.hand_over(NIGHT) == "v:beta"
    assert charge.reply(may_call=True).model == "m:large"
    assert charge.reply(may_call=True).voice == "v:beta"
    assert charge.hand_over(PLAIN) == "v:beta"
    assert charge.reply(may_call=True).model == ""


def test_the_client_gives_it_to_another_and_keeps_its_own_choice() -> None:
    charge = in_charge()
    same = replace(charge.client, language="en")
    assert charge.configure(same) is None
    wanted = charge.configure(replace(same, agent="night", reply=ReplySettings(model="m:mine")))
    assert wanted is NIGHT
    charge.give_to(NIGHT)
    assert charge.agent is NIGHT
    settings = charge.settings(may_call=True)
    assert (settings.agent, settings.reply.model) == ("night", "m:mine")
    assert settings.turn.answers is Answers.LISTENING
    assert settings.listening.wait_k == 5

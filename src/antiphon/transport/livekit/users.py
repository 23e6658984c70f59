"""Whom the agent hears in a room."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.transport.livekit.sdk import Publication, RemoteParticipant, Sdk


def microphone_of(sdk: Sdk, participant: RemoteParticipant) -> Publication | None:
    """The voice of a participant: the first one published, where there are several."""
    voices = (publication for publication in participant.track_publications.values() if sdk.is_voice(publication))
    return next(voices, None)


def choose(
    sdk: Sdk, participants: Mapping[str, RemoteParticipant], wanted: str | None, current: str | None
) -> RemoteParticipant | None:
    """The one to converse with: the one ``wanted``, by identity, or none if that one is not there.

    Where nobody in particular is, the ``current`` one as long as it is there, with a microphone or without; then the
    first that has one, in the order in which they came.
    """
    if wanted is not None:
        return participants.get(wanted)
    if current is not None and current in participants:
        return participants[current]
    able = (one for one in participants.values() if sdk.is_person(one) and microphone_of(sdk, one) is not None)
    return next(able, None)

"""Offers of clients, as far as it matters what is in them before aiortc reads them."""

from __future__ import annotations

from dataclasses import dataclass

from aiortc.sdp import MediaDescription, SessionDescription

from antiphon.errors import ProtocolError
from antiphon.transport.webrtc.ear import CODECS

_DIRECTED = ("m=audio ", "m=video ")
_DIRECTIONS = frozenset({"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"})
_USUAL_DIRECTION = "a=sendrecv"
"""Of a section that names none, as the session names none either (RFC 8866, section 6.7)."""

_KINDS = ("audio", "video", "application")
_MAX_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. All media of a client go one way: what is said is that of the first section."""

    sdp: str
    username: str
    password: str
    """ICE's, new ones when the client wants a new path."""
    fingerprints: frozenset[str]
    """Of the client's certificate: an offer with others is for another connection."""

    @classmethod
    def parse(cls, sdp: str) -> Offer:
        """Raises ProtocolError, which says what is wrong."""
        try:
            media = SessionDescription.parse(sdp).media
        except Exception as error:  # the parser raises whatever a line that it does not expect leads to
            raise refused(f"it cannot be read: {str(error) or type(error).__name__}") from None
        if not media:
            raise refused("it has no media section")
        audio = next((section for section in media if section.kind == "audio"), None)
        if audio is None:
            raise refused("it has no audio: add an audio track or transceiver before the offer is made")
        if not any(codec.name.lower() in CODECS for codec in audio.rtp.codecs):
            raise refused(f"its audio has no codec that is known here: offer one of {', '.join(CODECS)}")
        _check(media)
        paths = [path for section in media if (path := _path_of(section)) is not None]
        if len(paths) != len(media):
            raise refused("a media section lacks ICE credentials or a DTLS fingerprint")
        fingerprints = frozenset[str]().union(*(prints for _, _, prints in paths))
        return cls(_with_directions(sdp), paths[0][0], paths[0][1], fingerprints)


def _check(media: list[MediaDescription]) -> None:
    """What aiortc would stumble over later. Raises ProtocolError."""
    for kind in (section.kind for section in media):
        if kind not in _KINDS:
            raise refused(f"it has a media section of the kind {kind[:20]!r}: {', '.join(_KINDS)} are known here")
    if sum(section.kind == "application" for section in media) > 1:
        raise refused("it has more than one section for data channels")
    names = [section.rtp.muxId for section in media if section.rtp.muxId]
    if len(set(names)) < len(names):
        raise refused("two of its media sections have the same 'mid'")
    for section in media:
        for candidate in section.ice_candidates:
            if candidate.port > _MAX_PORT:
                raise refused(f"a candidate has the port {candidate.port}, and the highest is {_MAX_PORT}")


def _with_directions(sdp: str) -> str:
    """The offer with a direction in each section of media, which aiortc asks for and SDP does not."""
    session, *sections = _sections_of(sdp.splitlines())
    usual = next((line for line in session if line in _DIRECTIONS), _USUAL_DIRECTION)
    lines = list(session)
    for section in sections:
        lines += section
        if section[0].startswith(_DIRECTED) and not _DIRECTIONS.intersection(section):
            lines.append(usual)
    return "\r\n".join(lines) + "\r\n"


def _sections_of(lines: list[str]) -> list[list[str]]:
    """The lines of the session, then those of each media section. Empty lines are left out."""
    sections: list[list[str]] = [[]]
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    return sections


def _path_of(section: MediaDescription) -> tuple[str, str, frozenset[str]] | None:
    ice, dtls = section.ice, section.dtls
    if ice is None or dtls is None or not ice.usernameFragment or not ice.password or not dtls.fingerprints:
        return None
    prints = frozenset(f"{entry.algorithm} {entry.value}".lower() for entry in dtls.fingerprints)
    return ice.usernameFragment, ice.password, prints


def refused(reason: str) -> ProtocolError:
    return ProtocolError(f"The SDP offer cannot be used: {reason}", code="invalid_offer", param="sdp")

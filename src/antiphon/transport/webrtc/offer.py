"""Offers of clients, as far as it matters what is in them before aiortc reads them."""

from __future__ import annotations

from dataclasses import dataclass

from aiortc.sdp import MediaDescription, SessionDescription

from antiphon.errors import ProtocolError


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
            raise refused(f"it cannot be read: {error or type(error).__name__}") from None
        if not media:
            raise refused("it has no media section")
        if not any(section.kind == "audio" for section in media):
            raise refused("it has no audio: add an audio track or transceiver before the offer is made")
        paths = [path for section in media if (path := _path_of(section)) is not None]
        if len(paths) != len(media):
            raise refused("a media section lacks ICE credentials or a DTLS fingerprint")
        fingerprints = frozenset[str]().union(*(prints for _, _, prints in paths))
        return cls(sdp, paths[0][0], paths[0][1], fingerprints)


def _path_of(section: MediaDescription) -> tuple[str, str, frozenset[str]] | None:
    ice, dtls = section.ice, section.dtls
    if ice is None or dtls is None or not ice.usernameFragment or not ice.password or not dtls.fingerprints:
        return None
    prints = frozenset(f"{entry.algorithm} {entry.value}".lower() for entry in dtls.fingerprints)
    return ice.usernameFragment, ice.password, prints


def refused(reason: str) -> ProtocolError:
    return ProtocolError(f"The SDP offer cannot be used: {reason}", code="invalid_offer", param="sdp")

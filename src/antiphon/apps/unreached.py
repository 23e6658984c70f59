"""Why a server could not be reached, in words for people."""

from __future__ import annotations

import os

import aiohttp


def reason(error: BaseException) -> str:
    """What the system says, without aiohttp's own terms; ``no answer`` where there is nothing to say."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        return f"its certificate is not trusted: {getattr(refused, 'verify_message', '') or refused}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno  # negative for a name that cannot be resolved
        return os.strerror(number) if number is not None and number > 0 else str(error.os_error.strerror)
    return str(error) or "no answer"


def trouble(url: str, error: BaseException) -> str:
    """The same with what to do about it, for somebody who gave, or left out, ``--url``."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{url}: {reason(error)}; name one to trust in SSL_CERT_FILE"
    return f"no server answers at {url} ({reason(error)}): start one, or give another --url"

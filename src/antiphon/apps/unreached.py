"""Why a server could not be reached, in words for people."""

from __future__ import annotations

import os

import aiohttp


def reason(error: BaseException) -> str:
    """What the system says, without aiohttp's own terms; `no answer` where there is nothing to say."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        trusted = "SSL_CERT_FILE=FILE names one to trust besides"
        return f"its certificate is not trusted ({error.certificate_error}); {trusted}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno  # of a name that cannot be resolved it is negative
        return os.strerror(number) if number is not None and number > 0 else str(error.os_error.strerror)
    return str(error) or "no answer"

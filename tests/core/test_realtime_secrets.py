from __future__ import annotations

import pytest

from antiphon.errors import ProtocolError
from antiphon.transport.realtime.secrets import SecretStore


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_secret_is_good_until_it_expires() -> None:
    clock = Clock()
    store = SecretStore(clock)
    secret = store.issue({"expires_after": {"anchor": "created_at", "seconds": 60}, "session": {"voice": "amy"}})
    assert secret.value.startswith("ek_")
    assert secret.expires_at == 1060
    assert store.session_of(secret.value) == {"voice": "amy"}
    clock.now += 60
    assert store.session_of(secret.value) is None


def test_the_default_is_ten_minutes() -> None:
    assert SecretStore(Clock()).issue({}).expires_at == 1600


def test_an_unknown_secret_is_good_for_nothing() -> None:
    assert SecretStore().session_of("ek_unknown") is None


@pytest.mark.parametrize("seconds", [9, 7201, "long"])
def test_lives_that_are_too_short_or_too_long(seconds: object) -> None:
    with pytest.raises(ProtocolError):
        SecretStore().issue({"expires_after": {"seconds": seconds}})


def test_the_store_is_bounded_and_forgets_the_expired() -> None:
    clock = Clock()
    store = SecretStore(clock)
    for _ in range(1000):
        store.issue({"expires_after": {"seconds": 10}})
    with pytest.raises(ProtocolError) as caught:
        store.issue({})
    assert caught.value.code == "rate_limit_exceeded"
    clock.now += 10
    assert store.issue({})

from __future__ import annotations

import pytest

from antiphon.errors import ProtocolError
from antiphon.transport.claims import IN_USE, Claims


def test_one_client_at_a_time_goes_on_with_a_conversation() -> None:
    claims = Claims()
    claims.claim("conv_1", "sess_1")
    claims.claim("conv_2", "sess_2")
    with pytest.raises(ProtocolError) as refused:
        claims.claim("conv_1", "sess_3")
    assert refused.value.code == IN_USE
    claims.drop("conv_1", "sess_3")
    claims.redeem("conv_1", "sess_1")
    claims.drop("conv_1", "sess_1")
    claims.claim("conv_1", "sess_3")
    claims.drop("conv_1", "sess_3")
    claims.claim("conv_1", "sess_4")


def test_a_claim_that_was_revoked_is_worth_nothing() -> None:
    claims = Claims()
    claims.claim("conv_1", "sess_1")
    claims.revoke("conv_1")
    claims.revoke("conv_2")
    with pytest.raises(ProtocolError, match="try again"):
        claims.redeem("conv_1", "sess_1")
    claims.claim("conv_1", "sess_2")
    with pytest.raises(ProtocolError):
        claims.redeem("conv_1", "sess_1")
    claims.redeem("conv_1", "sess_2")

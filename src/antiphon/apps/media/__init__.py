"""Processes that carry the calls over WebRTC of a server, one for each core that it gives them."""

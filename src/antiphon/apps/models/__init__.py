"""``antiphon models``: what there is to download, what is on this machine, and what a server has in memory."""

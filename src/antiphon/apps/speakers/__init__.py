"""Who speaks: the people whom this machine knows by their voices, and how a server tells speakers apart."""

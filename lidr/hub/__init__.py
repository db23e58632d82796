"""The Hub: publishing to it, reading from it, and a small one of our own (`lidr.hub_server`)."""

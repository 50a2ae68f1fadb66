"""The running bridge: SIP, media, calls, events, the server and the `dialin` command."""

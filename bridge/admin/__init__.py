"""The local administration socket: who may speak, what may be said."""

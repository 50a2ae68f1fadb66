"""Commands of the running bridge, a file each; `bridge.cli` assembles them with the others'."""

"""How the bridge does, for programs that watch it: metrics, liveness, readiness."""

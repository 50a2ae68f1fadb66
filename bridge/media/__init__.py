"""Media: the real-time process that receives, mixes and sends every leg's audio."""

"""The servers that are measured, each a real process on loopback with a Redis of its own."""

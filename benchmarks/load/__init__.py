"""The load: clients that open streams and count, publishers, and how the harness talks to them."""

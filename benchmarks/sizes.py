"""
How much is measured: the sizes of the full run, and smaller ones to try things out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Repetitions are of each contender; ``slow`` ones are those of stock, which takes long."""

    repetitions: int = 5
    repetitions_slow: int = 2
    burst_streams: int = 500
    burst_messages: int = 200
    steady_per_second: int = 50
    steady_repetitions: int = 3
    flood_users: int = 1000
    flood_messages: int = 10
    single_users: int = 1000
    single_per_second: int = 500
    single_seconds: int = 6
    idle_streams: int = 3000
    many_streams: int = 10_000
    publish_calls: int = 1000
    publish_many: int = 10_000
    track_items: int = 5_000_000
    track_calls: int = 1_000_000
    track_calls_slow: int = 2000
    track_seconds: float = 3.0
    reminder_users: int = 100_000
    replay_clients: int = 1000
    replay_clients_slow: int = 100
    replay_messages: int = 500


FULL = Sizes()
QUICK = Sizes(
    repetitions=3,
    repetitions_slow=1,
    steady_repetitions=1,
    single_seconds=2,
    idle_streams=1000,
    many_streams=2000,
    track_items=1_000_000,
    track_calls=200_000,
    track_calls_slow=500,
    reminder_users=2000,
    replay_clients=200,
    replay_clients_slow=20,
)

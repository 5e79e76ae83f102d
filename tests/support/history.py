"""The history of a run: what publishers were told, what clients saw, when something was broken.

Times are `time.monotonic()`, which all processes of a machine share. Everything here is plain data
that the judge (`history_judge`) reads, so that a history can be written by hand as well.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Publication:
    """One call of `publish()`; `id` is None where it raised, so that it may have happened."""

    channel: str
    text: str  # of a log message: unique in the run; of a latest value: its counter as digits
    key: str  # "" for a log message
    started: float
    ended: float
    id: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The client has the head of a response to a request with this cursor ("" for none)."""

    at: float
    cursor: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Saw:
    """An event of the transport itself: `stream-open`, `stream-reset`, `stream-paused` …"""

    at: float
    type: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """A log message, with the cursor that came with it."""

    at: float
    text: str
    id: int


@dataclass(frozen=True, slots=True)
class Latest:
    """A latest value."""

    at: float
    key: str
    number: int


@dataclass(frozen=True, slots=True)
class Silence:
    """The client read, and nothing came since `since`."""

    at: float
    since: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream is over: "ended" by the server, "broken" by it, or left by the client."""

    at: float
    why: str


Entry = Opened | Saw | Log | Latest | Silence | Closed


@dataclass(slots=True)
class ClientHistory:
    """What one client saw, in order, over all of its connections."""

    name: str
    channel: str
    entries: list[Entry] = field(default_factory=list)
    slow: list[tuple[float, float]] = field(default_factory=list)  # it did not read meanwhile


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was broken from `started` until `ended`.

    `redis`: streams may have paused, and must be live again soon after `ended`. From `forgot_from`
    until `ended`, if it is set, Redis was told what it has forgotten; with `traceless` it knows
    nothing of that any more, since it went on from an older state of its data.
    """

    name: str
    started: float
    ended: float
    redis: bool = False
    forgot_from: float | None = None
    traceless: bool = False


@dataclass(slots=True)
class History:
    publications: list[Publication] = field(default_factory=list)
    clients: list[ClientHistory] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # The last log message and, by (channel, key), the last value, published when all was well.
    final_texts: dict[str, str] = field(default_factory=dict)
    final_numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    ended: float = 0.0

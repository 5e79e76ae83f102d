"""The judge: what a history of publishers and clients must not show.

Each rule is a function from a history to its findings; `judge` asks all of them. The rules know
nothing of how the site works, only what it promises.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.support.history import (
    ClientHistory,
    Closed,
    Entry,
    History,
    Latest,
    Log,
    Opened,
    Publication,
    Saw,
    Silence,
)

RECOVERY_SECONDS = 5.0  # after Redis is back


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may take, in seconds, with the machine's own slowness added."""

    silence: float = 5.0
    recovery: float = RECOVERY_SECONDS
    publish: float = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.who}: {self.text}"


def judge(history: History, limits: Limits | None = None) -> list[Finding]:
    limits = limits or Limits()
    found = [
        *ids_that_do_not_rise_for_publishers(history),
        *publishers_held_up(history, limits.publish),
    ]
    for client in history.clients:
        found += lost(history, client)
        found += repeated(client)
        found += not_rising(client)
        found += never_said(history, client)
        found += values_that_go_back(history, client)
        found += not_at_the_end(history, client)
        found += silent(client, limits.silence)
        found += not_recovered(history, client, limits.recovery)
    return found


def lost(history: History, client: ClientHistory) -> Iterator[Finding]:
    """A confirmed log message is received, or covered by a reset that came after it was said.

    The client must know by the time that its cursor is beyond the message (from then on nobody
    would send it any more), and at the latest at the end. Messages before the first cursor that the
    client was given are none of its business. A message that raised at its publisher need not come.
    Nor need one that Redis forgot without a trace before anybody at all had heard it.
    """
    start = _first_cursor(client)
    if start is None:
        return
    received = {entry.text for entry in client.entries if isinstance(entry, Log)}
    forgotten = forgotten_unheard(history)
    positions = list(_cursor_rises(client))  # (id, at), rising
    resets = [e.at for e in client.entries if isinstance(e, Saw) and e.type == "stream-reset"]
    for said in history.publications:
        if said.channel != client.channel or said.key or said.id is None or said.id <= start:
            continue
        if said.text in received or said.text in forgotten:
            continue
        passed = next((at for id, at in positions if id >= said.id), history.ended)
        if not any(said.started <= at <= passed for at in resets):
            later = any(at > passed for at in resets)
            yield Finding(
                "lost",
                client.name,
                f"{said.text} (id {said.id}) was confirmed at {said.ended:.3f}, never came, and "
                f"the cursor passed it at {passed:.3f} without a reset"
                + (", which came only later" if later else ""),
            )


def forgotten_unheard(history: History) -> set[str]:
    """Return the confirmed log messages that only a more durable Redis could have kept."""
    rewinds = [fault for fault in history.faults if fault.traceless]
    perhaps = {
        said.text
        for said in history.publications
        if not said.key
        and said.id is not None
        and any((f.forgot_from or 0) <= said.ended and said.started <= f.ended for f in rewinds)
    }
    if not perhaps:
        return perhaps
    heard = {e.text for c in history.clients for e in c.entries if isinstance(e, Log)}
    return perhaps - heard


def repeated(client: ClientHistory) -> Iterator[Finding]:
    """No log message comes twice to a client, over all of its connections."""
    seen: dict[str, Log] = {}
    for entry in client.entries:
        if isinstance(entry, Log):
            if first := seen.get(entry.text):
                yield Finding(
                    "repeated",
                    client.name,
                    f"{entry.text} came at {first.at:.3f} and at {entry.at:.3f}",
                )
            seen[entry.text] = entry


def not_rising(client: ClientHistory) -> Iterator[Finding]:
    """The ids of log messages rise, within a stream and from one to the next."""
    logs = [entry for entry in client.entries if isinstance(entry, Log)]
    for before, after in pairwise(logs):
        if after.id <= before.id:
            yield Finding(
                "not rising",
                client.name,
                f"{after.text} has id {after.id} after {before.text} with {before.id}",
            )


def never_said(history: History, client: ClientHistory) -> Iterator[Finding]:
    """What comes was published, on this channel, and a log message bears the id it was given."""
    said = {(p.channel, p.key, p.text): p for p in history.publications}
    for entry in client.entries:
        if isinstance(entry, Log):
            source = said.get((client.channel, "", entry.text))
            if source is None:
                yield Finding("never said", client.name, f"{entry.text} was not published")
            elif source.id is not None and source.id != entry.id:
                yield Finding(
                    "never said", client.name, f"{entry.text} came as {entry.id}, not {source.id}"
                )
        elif (
            isinstance(entry, Latest) and (client.channel, entry.key, str(entry.number)) not in said
        ):
            yield Finding("never said", client.name, f"{entry.key}={entry.number}")


def values_that_go_back(history: History, client: ClientHistory) -> Iterator[Finding]:
    """A latest value only goes forward.

    There are two excuses. A publication that raised may happen late, after the one that followed.
    And on a new stream, a value may be older than one that Redis has forgotten since.
    """
    said = {
        (p.key, int(p.text)): p
        for p in history.publications
        if p.key and p.channel == client.channel
    }
    highest: dict[str, Latest] = {}
    for stream in _streams(client):
        in_stream: dict[str, int] = {}
        for entry in stream:
            if not isinstance(entry, Latest):
                continue
            source = said.get((entry.key, entry.number))
            if source is None or source.id is None:
                continue
            before = highest.get(entry.key)
            if entry.number < in_stream.get(entry.key, 0):
                yield Finding(
                    "value went back",
                    client.name,
                    f"{entry.key}: {entry.number} at {entry.at:.3f} after {in_stream[entry.key]} "
                    "in the same stream",
                )
            elif (
                before is not None
                and entry.number < before.number
                and not _forgotten(history, said[entry.key, before.number], entry.at)
            ):
                yield Finding(
                    "value went back",
                    client.name,
                    f"{entry.key}: {entry.number} at {entry.at:.3f} after {before.number}",
                )
            in_stream[entry.key] = max(entry.number, in_stream.get(entry.key, 0))
            highest[entry.key] = entry


def not_at_the_end(history: History, client: ClientHistory) -> Iterator[Finding]:
    """What was said last, when all was well, has come; and of each value nothing came after it."""
    text = history.final_texts.get(client.channel)
    received = {entry.text for entry in client.entries if isinstance(entry, Log)}
    if text and text not in received:
        yield Finding("not at the end", client.name, f"{text}, the last message, has not come")
    last: dict[str, int] = {}
    for entry in client.entries:
        if isinstance(entry, Latest):
            last[entry.key] = entry.number
    for (channel, key), number in history.final_numbers.items():
        if channel == client.channel and last.get(key) != number:
            yield Finding(
                "not at the end", client.name, f"{key} is {last.get(key)}, and {number} was said"
            )


def silent(client: ClientHistory, limit: float) -> Iterator[Finding]:
    """While a stream is open something comes, if only a keep-alive."""
    for entry in client.entries:
        if isinstance(entry, Silence) and entry.at - entry.since > limit:
            seconds = entry.at - entry.since
            yield Finding("silent", client.name, f"nothing for {seconds:.1f} s at {entry.at:.3f}")


def not_recovered(history: History, client: ClientHistory, limit: float) -> Iterator[Finding]:
    """After Redis is back a stream that has paused says within the limit that it is live.

    A stream counts for as long as it is open and its client reads. Not asked where the next fault
    came before the limit was over.
    """
    faults = sorted((fault for fault in history.faults if fault.redis), key=lambda f: f.started)
    for fault, following in pairwise([*faults, None]):
        assert fault is not None
        deadline = fault.ended + limit
        if (following.started if following else history.ended) < deadline:
            continue
        if any(start < deadline and end > fault.ended for start, end in client.slow):
            continue
        paused_at = None
        opened = False
        for entry in client.entries:
            if entry.at > deadline:
                break
            if isinstance(entry, Saw) and entry.type == "stream-paused":
                paused_at = entry.at
            elif isinstance(entry, Saw) and entry.type == "stream-live":
                paused_at = None
            elif isinstance(entry, Opened | Closed):
                paused_at = None
                opened = isinstance(entry, Opened) and entry.status == 200
        if opened and paused_at is not None and paused_at <= fault.ended:
            yield Finding(
                "not recovered",
                client.name,
                f"paused at {paused_at:.3f}, and not live {limit} s after {fault.name} was over "
                f"at {fault.ended:.3f}",
            )


def ids_that_do_not_rise_for_publishers(history: History) -> Iterator[Finding]:
    """No id is given twice in a channel, and a call that began after another has a higher one."""
    channels: dict[str, list[tuple[int, Publication]]] = defaultdict(list)
    for said in history.publications:
        if said.id is not None:
            channels[said.channel].append((said.id, said))
    for channel, given in channels.items():
        given.sort(key=lambda pair: pair[0])
        latest_start = float("-inf")
        before: tuple[int, Publication] | None = None
        for id, said in given:
            if before is not None and before[0] == id:
                yield Finding("id given twice", channel, f"{id}: {said.text}, {before[1].text}")
            if said.ended < latest_start:
                yield Finding(
                    "id not rising",
                    channel,
                    f"{said.text} got {id}; a call after it got less",
                )
            latest_start = max(latest_start, said.started)
            before = id, said


def publishers_held_up(history: History, limit: float) -> Iterator[Finding]:
    for said in history.publications:
        if said.ended - said.started > limit:
            yield Finding(
                "held up", said.channel, f"{said.text} took {said.ended - said.started:.1f} s"
            )


def _first_cursor(client: ClientHistory) -> int | None:
    for entry in client.entries:
        if isinstance(entry, Saw | Log) and entry.id is not None:
            return entry.id
    return None


def _cursor_rises(client: ClientHistory) -> Iterator[tuple[int, float]]:
    """Yield each new highest cursor of the client, and when it had it."""
    highest = 0
    for entry in client.entries:
        if isinstance(entry, Saw | Log) and entry.id is not None and entry.id > highest:
            highest = entry.id
            yield entry.id, entry.at


def _streams(client: ClientHistory) -> Iterator[list[Entry]]:
    stream: list[Entry] = []
    for entry in client.entries:
        if isinstance(entry, Opened):
            yield stream
            stream = []
        stream.append(entry)
    yield stream


def _forgotten(history: History, said: Publication, before: float) -> bool:
    """Whether Redis may have forgotten a publication by a moment."""
    return any(
        fault.forgot_from is not None
        and fault.forgot_from <= said.ended
        and said.started <= fault.ended
        and fault.started <= before
        for fault in history.faults
    )

"""
Queue a group, chord or chain as one job::

    job = start_group(chord([count.s(name) for name in names], add_up.s()), owner=user, title="…")

Its members are counted in ``members.py``; its bar is kept in ``group_bar.py``.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

from celery import current_app
from celery.canvas import Signature, _chain, chord, group, maybe_signature
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from . import members, storable
from .middleware import UNSET, owner_pk
from .models import TITLE_MAX_LENGTH, UNFINISHED, Job, State
from .transitions import change, say

MEMBERS_AT_ONCE: Final = 500  # rows in one statement
GIVEN_BY_CELERY: Final = frozenset({"task_id", "group_id", "root_id", "parent_id", "reply_to"})


def start_group(
    canvas: Signature[Any], *, owner: Any = UNSET, title: str = "", **options: Any
) -> Job:
    """
    Queue a ``group``, ``chord`` or ``chain`` as one job, and return that.

    Without ``owner`` it is found as for a single task. Each tracked task in the canvas becomes a
    member; its title may be given by ``.set(title=…)``. Other tasks run too and do not count. The
    result of the job is that of the last task of a chain or the body of a chord. ``options`` go to
    ``canvas.apply_async``. The messages are sent when the transaction commits; where the broker
    can't be reached the job has failed, and Celery's ``OperationalError`` is raised.
    """
    from .tasks import TrackedTask

    canvas = _own(canvas)
    leaves = [
        (place, leaf) for place, leaf in _leaves(canvas, ()) if isinstance(_type(leaf), TrackedTask)
    ]
    if not leaves:
        raise ValueError("There is no TrackedTask in this group, so it can't be followed as a job.")
    owner_id = owner_pk(owner)
    kind = str(canvas.get("subtask_type") or canvas["task"]).removeprefix("celery.")
    with transaction.atomic():
        parent = Job.objects.create(
            owner_id=owner_id,
            title=storable.clean(title or _("Several tasks"))[:TITLE_MAX_LENGTH],
            task=f"celery.{kind}",
            members_total=len(leaves),
        )
        Job.objects.bulk_create(
            [_member(parent, place, leaf) for place, leaf in leaves], MEMBERS_AT_ONCE
        )
        say(parent)
        transaction.on_commit(lambda: _send(parent, canvas, options))
    return parent


def _leaves(
    signature: Any, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Signature[Any]]]:
    """Yield the tasks of a canvas, each with its place in it."""
    if isinstance(signature, chord):
        parts = signature["kwargs"]
        header = signature.tasks
        parts["header"] = _own(header if isinstance(header, group) else group(list(header)))
        yield from _leaves(parts["header"], (*place, "c00000"))
        parts["body"] = _own(signature.body)
        yield from _leaves(parts["body"], (*place, "c00001"))
    elif isinstance(signature, (group, _chain)):
        letter = "g" if isinstance(signature, group) else "c"
        tasks = signature["kwargs"]["tasks"] = [_own(task) for task in signature.tasks]
        for number, task in enumerate(tasks):
            yield from _leaves(task, (*place, f"{letter}{number:05}"))
    else:
        yield place, signature


def _own(task: Any) -> Any:
    # A copy: the caller may start a canvas again, or have the same signature in it twice.
    return maybe_signature(task, app=current_app, clone=True)


def _type(leaf: Signature[Any]) -> Any:
    try:
        return leaf.type
    except KeyError:  # a task of other workers, known here by its name alone
        return None


def _member(parent: Job, place: tuple[str, ...], leaf: Signature[Any]) -> Job:
    task = _type(leaf)
    pk = leaf.options["task_id"] = str(uuid4())
    leaf.options.pop("owner", None)
    title = leaf.options.pop("title", "") or task.job_title(leaf.args, leaf.kwargs)
    return Job(
        pk=UUID(pk),
        parent=parent,
        place=".".join(place)[:200],
        owner_id=parent.owner_id,
        title=storable.clean(title)[:TITLE_MAX_LENGTH],
        task=task.name,
        queue=task.job_queue(leaf.options),
        result_template=task.result_template,
    )


def _send(parent: Job, canvas: Signature[Any], options: dict[str, Any]) -> None:
    try:
        _apply(canvas, options)
    except Exception:
        with transaction.atomic():
            # As it stands, so that the members that are dropped next do not end it otherwise.
            failed = change(
                parent.pk,
                UNFINISHED,
                state=State.FAILED,
                finished=timezone.now(),
                error=_("The job could not be queued."),
            )
            members.drop(parent.pk, Job.objects.filter(parent=parent, state=State.QUEUED))
        if failed is not None:
            raise
        # Run at once by Celery's eager mode, it has ended by itself, and says why.


def _apply(canvas: Signature[Any], options: dict[str, Any]) -> None:
    if not isinstance(canvas, group):
        canvas.apply_async(**options)
        return
    # One by one: Celery's group would subscribe to the results of all of them, in this process.
    shared = {name: value for name, value in canvas.options.items() if name not in GIVEN_BY_CELERY}
    for task in canvas.tasks:
        _apply(task, {**shared, **options})

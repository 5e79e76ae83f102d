"""
System checks: what jobs and their pages need of the site around them is there (W005-W008).
"""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.template import Engine, TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.backends.django import DjangoTemplates
from django.template.base import Template
from django.template.loader_tags import BlockNode, ExtendsNode
from django.urls import NoReverseMatch, reverse

CURRENT_USER: Final = "notifications.jobs.middleware.CurrentUser"
REQUEST: Final = "django.template.context_processors.request"

# Where a page with jobs leads to, and how a site has it.
ADDRESSES: Final = {
    "notifications:events": 'path("events/", include("notifications.urls"))',
    "jobs:list": 'path("jobs/", include("notifications.jobs.urls"))',
}
PAGE: Final = "jobs/detail.html"


@register(Tags.compatibility)
def check_owner(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A job that a view queues belongs to its user (W005)."""
    if CURRENT_USER in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "A job that a view queues belongs to nobody: CurrentUser is not in MIDDLEWARE.",
            hint=f"Add {CURRENT_USER!r}; or name each job's owner, and silence this.",
            id="notifications.W005",
        )
    ]


@register(Tags.urls)
def check_addresses(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The stream and the pages of jobs have their addresses (W006)."""
    return [
        Warning(
            f"Pages with jobs can't be shown: there is no URL {name!r}.",
            hint=f"Add to urlpatterns: {line}",
            id="notifications.W006",
        )
        for name, line in ADDRESSES.items()
        if not _leads_somewhere(name)
    ]


@register(Tags.templates)
def check_templates(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Bars know the request (W007), and the site's base.html takes the pages of jobs in (W008)."""
    engine = next((each for each in engines.all() if isinstance(each, DjangoTemplates)), None)
    if engine is None:
        return []
    found: list[CheckMessage] = []
    if REQUEST not in engine.engine.context_processors:
        found.append(
            Warning(
                "Bars of jobs don't move: templates don't know the request.",
                hint=f"Add {REQUEST!r} to the context_processors in TEMPLATES.",
                id="notifications.W007",
            )
        )
    if fault := _fault_of_page(engine):
        found.append(
            Warning(
                f"The pages of jobs can't be shown: {fault}.",
                hint="They extend base.html and fill its blocks 'title' and 'content'. A site that "
                "names these otherwise needs a base.html of its own that leads to them.",
                id="notifications.W008",
            )
        )
    return found


def _leads_somewhere(name: str) -> bool:
    try:
        reverse(name)
    except NoReverseMatch:
        return False
    return True


def _fault_of_page(engine: DjangoTemplates) -> str:
    try:
        blocks = _blocks(engine.get_template(PAGE).template, engine.engine)
    except TemplateDoesNotExist as missing:
        return f"there is no template {str(missing)!r}"
    except TemplateSyntaxError:  # which tells of itself
        return ""
    return "" if blocks is None or "content" in blocks else "base.html has no block 'content'"


def _blocks(page: Template, engine: Engine) -> set[str] | None:
    """Return the names of the blocks of what ``page`` extends; None where that can't be known."""
    found: set[str] = set()
    seen = {page.name}
    while extends := page.nodelist.get_nodes_by_type(ExtendsNode):
        name: Any = extends[0].parent_name.var  # type: ignore[attr-defined]
        if not isinstance(name, str) or name in seen:
            return None
        seen.add(name)
        page = engine.get_template(name)
        found |= {block.name for block in page.nodelist.get_nodes_by_type(BlockNode)}  # type: ignore[attr-defined]
    return found if len(seen) > 1 else None

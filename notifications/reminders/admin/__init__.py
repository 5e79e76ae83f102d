"""
Reminders in Django's admin: written, scheduled, sent, and looked after.

Who may do what: ``add_reminder`` writes and sends them, to chosen users and groups;
``send_to_everyone`` to everyone and by filters too; ``change_reminder`` changes and cancels them;
``view_reminder`` shows the report's counts, ``view_delivery`` whom they are made of.
``view_user`` and ``view_group`` are needed to find people by name.
"""

from .listing import ReminderAdmin

__all__ = ["ReminderAdmin"]

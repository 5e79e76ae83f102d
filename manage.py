#!/usr/bin/env python3
"""Run one of Django's or Carillon's commands: `manage.py up`, `serve`, `migrate`, `shell`, …"""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            f"Django is not installed for {sys.executable}. Start the site with `make run`, which "
            "installs everything into .venv, or use .venv/bin/python."
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

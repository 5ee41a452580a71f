"""Terminals and shared memory without libutil and librt, beside glibc's own: compiled and run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.edit_programs import compiled

TERMINALS = """
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "terminal_pair.h"
int main(void) {
    int master, slave, status;
    char said[200] = "";
    if (open_terminal_pair(&master, &slave) != 0) { perror("no terminal"); return 9; }
    printf("%d %d\\n", isatty(master) && isatty(slave), strcmp(ptsname(master), ttyname(slave)));
    fflush(stdout);
    pid_t child = fork_into_terminal(&master);
    if (child == 0) {
        int own = getsid(0) == getpid() && tcgetpgrp(0) == getpid() && isatty(1) && isatty(2);
        _exit(write(1, "said", 4) == 4 && own ? 7 : 8);
    }
    if (read(master, said, sizeof(said) - 1) < 0) { perror("read"); }
    waitpid(child, &status, 0);
    printf("%s %d\\n", said, WEXITSTATUS(status));
    return 0;
}
"""
# What ours and glibc's say of the same name, one after the other: opened, its errno, unlinked, its errno.
MEMORY = """
#define _GNU_SOURCE
#include <sys/mman.h>
#include "shared_memory.h"
#define TRY(open_it, unlink_it) \\
    do { \\
        errno = 0; int fd = open_it(name, O_RDWR | O_CREAT | O_EXCL, 0600); int why = errno; \\
        int kept = fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) && access("/dev/shm", F_OK) == 0; \\
        if (fd >= 0) close(fd); \\
        errno = 0; int gone = unlink_it(name); \\
        printf("%d %d %d %d %d\\n", fd >= 0, why, kept, gone, errno); \\
    } while (0)
int main(int count, char **names) {
    for (int number = 1; number < count; number++) {
        const char *name = names[number];
        TRY(open_shared_memory, unlink_shared_memory);
        TRY(shm_open, shm_unlink);
    }
    return 0;
}
"""


def test_both_ends_are_one_terminal_and_a_child_gets_it_as_its_own(tmp_path: Path) -> None:
    ran = subprocess.run([compiled(tmp_path, TERMINALS)], capture_output=True, text=True, check=False)
    if ran.returncode == 9:
        pytest.skip(ran.stderr.strip())
    assert ran.stdout == "1 0\nsaid 7\n", ran.stderr


def test_names_of_shared_memory_are_taken_and_refused_as_glibc_does(tmp_path: Path) -> None:
    program = compiled(tmp_path, MEMORY, "-lrt")
    own = f"pymint-{tmp_path.name}"
    names = ["", "/", "a/b", "..", own, f"//{own}", "x" * 255, "x" * 256]
    lines = subprocess.run([program, *names], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2 * len(names)
    for name, ours, theirs in zip(names, lines[::2], lines[1::2], strict=True):
        assert ours == theirs, name
    assert lines[8] == "1 0 1 0 0"  # there was something to compare

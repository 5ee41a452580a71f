"""Bluetooth's addresses as the kernel lays them out (include/net/bluetooth/), in the header that CPython is given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.edits import EDITS

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
#include "linux_bluetooth.h"
int main(void) {
    printf("rc %zu %zu %zu\\n", sizeof(struct sockaddr_rc), offsetof(struct sockaddr_rc, rc_bdaddr),
           offsetof(struct sockaddr_rc, rc_channel));
    printf("l2 %zu %zu %zu %zu %zu\\n", sizeof(struct sockaddr_l2), offsetof(struct sockaddr_l2, l2_psm),
           offsetof(struct sockaddr_l2, l2_bdaddr), offsetof(struct sockaddr_l2, l2_cid),
           offsetof(struct sockaddr_l2, l2_bdaddr_type));
    printf("sco %zu %zu\\n", sizeof(struct sockaddr_sco), offsetof(struct sockaddr_sco, sco_bdaddr));
    printf("hci %zu %zu %zu\\n", sizeof(struct sockaddr_hci), offsetof(struct sockaddr_hci, hci_dev),
           offsetof(struct sockaddr_hci, hci_channel));
    printf("%d %d %d\\n", AF_BLUETOOTH, SOL_BLUETOOTH, SOL_RFCOMM);
    return 0;
}
"""


def test_addresses_are_laid_out_as_the_kernel_reads_them(tmp_path: Path) -> None:
    compiler = next((path for name in ("cc", "gcc", "clang", "clang-22") if (path := shutil.which(name))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    (tmp_path / "probe.c").write_text(PROGRAM)
    program = tmp_path / "probe"
    subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Werror", "-I", str(EDITS), str(tmp_path / "probe.c"), "-o", str(program)],
        check=True,
    )
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["rc 10 2 8", "l2 14 2 4 10 12", "sco 8 2", "hci 6 2 4", "31 274 18"]

"""Bluetooth's addresses as the kernel lays them out (include/net/bluetooth/), in the header that CPython is given."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.unit.edit_programs import compiled

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
    struct sockaddr_rc rc;
    struct sockaddr_l2 l2;
    struct sockaddr_hci hci;
    printf("members %zu %zu %zu %zu %zu %zu\\n", sizeof(rc.rc_channel), sizeof(l2.l2_psm), sizeof(l2.l2_cid),
           sizeof(l2.l2_bdaddr_type), sizeof(hci.hci_dev), sizeof(hci.hci_channel));
    printf("%d %d %d\\n", AF_BLUETOOTH, SOL_BLUETOOTH, SOL_RFCOMM);
    return 0;
}
"""


def test_addresses_are_laid_out_as_the_kernel_reads_them(tmp_path: Path) -> None:
    program = compiled(tmp_path, PROGRAM, "-std=c11", "-Werror")
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["rc 10 2 8", "l2 14 2 4 10 12", "sco 8 2", "hci 6 2 4", "members 1 2 2 1 2 2", "31 274 18"]

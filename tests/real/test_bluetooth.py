"""Bluetooth's addresses in what is shipped: the bytes that connect() gets, read back by getpeername().

A library that is loaded first stands in for the kernel, which on few machines has Bluetooth.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.ci]

KERNEL = """
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
static unsigned char kept[64];
static socklen_t length;
int connect(int fd, const struct sockaddr *address, socklen_t size) {
    (void)fd;
    memcpy(kept, address, length = size);
    for (socklen_t i = 0; i < size; i++) printf("%02x", kept[i]);
    printf("\\n");
    fflush(stdout);
    return 0;
}
int getpeername(int fd, struct sockaddr *address, socklen_t *size) {
    (void)fd;
    memcpy(address, kept, *size = length);
    return 0;
}
"""
ASK = """
import ast, socket, sys
protocol, address = getattr(socket, sys.argv[1]), ast.literal_eval(sys.argv[2])
plain = socket.socket()
with socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, protocol, fileno=plain.detach()) as one:
    one.connect(address)
    print(one.getpeername())
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = next((path for name in ("cc", "gcc", "clang", "clang-22") if (path := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    place = tmp_path_factory.mktemp("kernel")
    (place / "kernel.c").write_text(KERNEL)
    library = place / "kernel.so"
    subprocess.run([compiler, "-shared", "-fPIC", str(place / "kernel.c"), "-o", str(library)], check=True)
    return library


@pytest.mark.parametrize(
    ("protocol", "address", "sent", "back"),
    [
        ("BTPROTO_RFCOMM", "('01:23:45:67:89:AB', 3)", "1f00ab89674523010300", "('01:23:45:67:89:AB', 3)"),
        ("BTPROTO_L2CAP", "('01:23:45:67:89:AB', 4097)", "1f000110ab896745230100000000", "('01:23:45:67:89:AB', 4097)"),
        ("BTPROTO_SCO", "b'01:23:45:67:89:AB'", "1f00ab8967452301", "01:23:45:67:89:AB"),
        ("BTPROTO_HCI", "(258,)", "1f0002010000", "258"),
    ],
)
def test_an_address_is_what_the_kernel_takes(
    python: Path, kernel: Path, protocol: str, address: str, sent: str, back: str
) -> None:
    ran = subprocess.run(
        [python, "-I", "-c", ASK, protocol, address],
        env={**os.environ, "LD_PRELOAD": str(kernel)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stderr, ran.stdout.splitlines()) == ("", [sent, back])

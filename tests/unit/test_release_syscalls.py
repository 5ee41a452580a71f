"""The filter of system calls, worked through as the kernel does it: also for calls that this machine can't make."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from master.release import syscalls
from master.release.syscalls import ALLOW, ERRNO, MACHINES, Machine

AF_VSOCK, AF_ALG = 40, 38
REFUSED, NO_SUCH_CALL, NO_SUCH_FAMILY = (ERRNO | one for one in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT))


def judged(machine: Machine, number: int, argument: int = 0, audit: int | None = None) -> int:
    """What the filter returns for a call (linux/bpf_common.h)."""
    code = syscalls.program(machine)
    steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    data = {
        syscalls.NUMBER: number,
        syscalls.ARCHITECTURE: machine.audit if audit is None else audit,
        syscalls.FIRST_ARGUMENT: argument,
    }
    at, loaded = 0, 0
    while True:
        operation, if_so, if_not, value = steps[at]
        if operation == syscalls.RETURN:
            return int(value)
        at += 1
        if operation == syscalls.LOAD:
            loaded = data[value]
        else:
            so = loaded == value if operation == syscalls.EQUAL else loaded >= value
            at += if_so if so else if_not


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


def test_ordinary_calls_and_sockets_that_namespaces_confine_are_let_through(machine: Machine) -> None:
    assert judged(machine, 0) == ALLOW
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16):
        assert judged(machine, machine.socket, family) == ALLOW, family


def test_each_call_that_leads_out_is_refused(machine: Machine) -> None:
    assert len(machine.refused) == 7
    for number in machine.refused:
        assert judged(machine, number) == REFUSED, number


@pytest.mark.parametrize("family", [AF_VSOCK, AF_ALG, 0, 3])
def test_sockets_of_other_families_are_refused(machine: Machine, family: int) -> None:
    assert judged(machine, machine.socket, family) == NO_SUCH_FAMILY


def test_a_call_of_another_architectures_kind_is_refused_whatever_it_is(machine: Machine) -> None:
    """A 32-bit program's socket() has another number, which here is a harmless call's."""
    for audit in (0x40000003, *(one.audit for one in MACHINES.values() if one is not machine)):
        assert judged(machine, 0, audit=audit) == REFUSED


def test_the_second_numbers_of_the_same_calls_are_refused(machine: Machine) -> None:
    """Those of x32, by which the kernel may answer the same calls once more."""
    for number in (machine.socket, *machine.refused, 0):
        assert judged(machine, syscalls.X32 | number, AF_VSOCK) == NO_SUCH_CALL

"""What a build's container may do: the least that the recipes' own sandboxes need. docs/images.md has the experiments.

Recipes make user, mount, network and process namespaces. Docker's own list of system calls refuses those to a container
without CAP_SYS_ADMIN, and --privileged would allow everything. So: no capability at all, no new ones, not root, and a
list that forbids what no build needs and leaves namespaces and mounts, which the kernel confines to those namespaces.
"""

from __future__ import annotations

import json

# Each needs a capability of the machine's own namespace, or has no business in a build.
FORBIDDEN = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "fanotify_init",
    "finit_module", "get_kernel_syms", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm",
    "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "move_pages", "name_to_handle_at",
    "nfsservctl", "open_by_handle_at", "perf_event_open", "process_vm_readv", "process_vm_writev", "query_module",
    "quotactl", "quotactl_fd", "reboot", "request_key", "settimeofday", "stime", "swapoff", "swapon", "syslog", "sysfs",
    "_sysctl", "uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old",
)  # fmt: skip
EPERM = 1


def seccomp() -> str:
    """The list as the engine takes it, JSON."""
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": sorted(FORBIDDEN), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}],
        }
    )


def security_options(profile: str) -> list[str]:
    """profile: seccomp()'s text for the engine's API, the path of a file with it for the command line.

    AppArmor's profile for containers forbids every mount; where the engine's machine has no AppArmor nothing changes.
    """
    return ["no-new-privileges:true", f"seccomp={profile}", "apparmor=unconfined"]

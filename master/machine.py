"""What of the machine itself keeps a process from its work: told in words, wherever in it that comes up."""

from __future__ import annotations

import errno

from workers.errors import Failure

_NOT_ALLOWED = "Do it as the user that the farm runs as, or let this user do that."
_TODO = {
    errno.ENOSPC: "Make room there.",
    errno.EDQUOT: "Make room there, or ask for a larger quota.",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: "Have it mounted so that it can be written, or name another place.",
    errno.EIO: "Look at that disk: the kernel's log (dmesg) tells more.",
}


def in_words(where: str, error: Failure | OSError) -> Failure:
    """A Failure as it is; an OSError that only who looks after the machine can mend as one. Raises any other."""
    if isinstance(error, Failure):
        return error
    if error.errno not in _TODO:
        raise error
    return Failure(
        where, "this machine does not do what is wanted of it", found=str(error),
        todo=f"{_TODO[error.errno]} Then do the same again: what was done before stays done.",
    )  # fmt: skip

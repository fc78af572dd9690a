# SPDX-License-Identifier: Apache-2.0
"""Give a file a new name that must not be taken yet, whatever the file system can do."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# How file systems say that they have no hard links, network and FUSE ones among them.
_CANNOT_LINK = {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
}
_CANNOT_RENAME = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def rename_to_new(source: Path, target: Path) -> None:
    """
    Rename a file in its folder, in one step that fails where the target exists.

    A plain rename replaces the target. A hard link does not, and neither does Linux's ``RENAME_NOREPLACE``; some file
    systems (exFAT, several of FUSE) know only one of the two. On one that knows neither, the target is checked right
    before a plain rename, and a file that appears within that instant is replaced.

    :raises FileExistsError: the target exists. :raises OSError: the rename failed.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if not _is_same(source, target):  # else only the response was lost, as link(2) says of NFS
            if isinstance(error, FileExistsError):
                raise
            _rename_without_link(source, target, error)
            return
    with suppress(OSError):  # the file has its new name; its old one is removed by a later sweep
        os.unlink(source)


def _is_same(source: Path, target: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(source), os.lstat(target))
    except OSError:
        return False


def _rename_without_link(source: Path, target: Path, error: OSError) -> None:
    """Rename where a hard link failed with ``error``, which is raised where it says more than that there are none."""
    if _renamed_without_replacing(source, target):
        return
    if error.errno not in _CANNOT_LINK:
        raise error
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    log.warning("This file system cannot refuse to replace %s; it was not there a moment ago", target)
    os.rename(source, target)


def _renamed_without_replacing(source: Path, target: Path) -> bool:
    """Return whether the kernel, the C library and the file system could do it."""
    import ctypes  # only where a file system has no hard links

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_RENAME:
        return False
    raise OSError(number, os.strerror(number), str(target))

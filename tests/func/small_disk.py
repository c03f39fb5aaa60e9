# SPDX-License-Identifier: Apache-2.0
"""A file system that can be full.

    with SmallDisk(folder, 4 << 20) as disk:         # a tmpfs, mounted at disk.path
        disk.fill()                                  # not a byte is left
        disk.free()
"""

import os
import shutil
import subprocess


class SmallDisk:
    def __init__(self, path, size):
        self.path, self.size = path, size
        self.ballast = path / "ballast"

    def __enter__(self):
        self.path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs",
                        str(self.path)], check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)

    def fill(self, leave=0):
        """All but `leave` bytes."""
        room = os.statvfs(self.path)
        with open(self.ballast, "ab", buffering=0) as file:
            left = room.f_bavail * room.f_frsize - leave
            try:
                while left > 0:
                    left -= file.write(bytes(min(left, 1 << 16)))
            except OSError:
                pass  # now it is full

    def free(self):
        self.ballast.unlink()


def small_disk_fault(folder):
    """Why this machine can't have one; empty when it can."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return "needs root and the program mount"
    try:
        with SmallDisk(folder, 1 << 20):
            return ""
    except subprocess.CalledProcessError as error:
        return error.stderr.decode().strip()

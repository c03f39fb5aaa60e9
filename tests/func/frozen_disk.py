# SPDX-License-Identifier: Apache-2.0
"""A file system that can be frozen: whoever writes to it, or syncs, hangs until it is thawed.

    with FrozenDisk(folder) as disk:                 # ext4 in a file, mounted at disk.path
        with disk.frozen():
            ...

The freeze ends with the test's process, whatever happens to that: hanging writers can't be killed.
"""

import contextlib
import os
import shutil
import subprocess

SIZE = 64 << 20


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class FrozenDisk:
    def __init__(self, folder):
        self.image, self.path = folder / "disk.img", folder / "disk"

    def __enter__(self):
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", str(self.image))
        run("mount", "-o", "loop", str(self.image), str(self.path))
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.path)], capture_output=True, check=False)

    @contextlib.contextmanager
    def frozen(self):
        holder = subprocess.Popen(
            ["sh", "-c", 'fsfreeze -f "$1" && echo frozen; read line; fsfreeze -u "$1"', "sh",
             str(self.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        try:
            assert holder.stdout.readline() == "frozen\n"
            yield
        finally:
            holder.communicate("thaw\n", timeout=60)


def frozen_disk_fault(folder):
    """Why this machine can't freeze a file system; empty when it can."""
    if os.geteuid() != 0:
        return "needs root for a mount"
    for program in ("mkfs.ext4", "mount", "fsfreeze"):
        if not shutil.which(program):
            return f"needs the program {program}"
    folder.mkdir()
    try:
        with FrozenDisk(folder):
            return ""
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"

# SPDX-License-Identifier: Apache-2.0
"""The control role alone, without a supervisor that would slow down its restarts."""

import subprocess

from harness import PASSWORD, UnixHttp, wait_for


class Control:
    """A control process on a data folder; `admin` speaks to it over the admin socket."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.command = [str(binary), "control", "--data-dir", str(folder), "--bootstrap-password",
                        PASSWORD]
        self.admin = UnixHttp(folder / "run/admin.sock", timeout=10)
        self.process = None

    def start(self):
        with open(self.folder / "control.log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        wait_for(self.is_ready, what="control answers")

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "control.log").read_text()
        return self.admin.get("/v2/users/me").status == 200

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

# SPDX-License-Identifier: Apache-2.0
"""Another machine, nearly: a network namespace joined to this one, whose packets can be lost."""

import itertools
import os
import shutil
import subprocess

numbers = itertools.count()
NOBODY = "02:00:00:00:00:01"       # the Ethernet address of no interface


def ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True)


class JoinedNetwork:
    """The namespace `name`; its address `far` is reached from here, and back by `near`.

    Packets are lost without a word: who sends them takes the other side for an Ethernet address
    that nobody has. That needs neither a firewall nor a queueing discipline of the kernel.
    """

    def __enter__(self):
        number = os.getpid() * 7 + next(numbers)
        tag = f"{os.getpid() % 100000}x{number % 64}"
        # TEST-NET-2 of RFC 5737 is nobody's network; each /30 of it leaves two addresses.
        base = number % 64 * 4
        self.near, self.far = f"198.51.100.{base + 1}", f"198.51.100.{base + 2}"
        self.name, self.near_link, self.far_link = f"gps{tag}", f"gpn{tag}", f"gpf{tag}"
        try:
            ip("netns", "add", self.name)
            ip("link", "add", self.near_link, "type", "veth", "peer", "name", self.far_link,
               "netns", self.name)
            ip("address", "add", f"{self.near}/30", "dev", self.near_link)
            ip("link", "set", self.near_link, "up")
            ip("-n", self.name, "address", "add", f"{self.far}/30", "dev", self.far_link)
            ip("-n", self.name, "link", "set", self.far_link, "up")
            ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for command in (["link", "delete", self.near_link], ["netns", "delete", self.name]):
            subprocess.run(["ip", *command], capture_output=True, check=False)

    def neighbour(self, *args):
        """`ip neigh ARGS` for the way there, and for the way back."""
        return ((*args, self.far, "dev", self.near_link),
                ("-n", self.name, *args, self.near, "dev", self.far_link))

    def lose(self, there=True, back=True):
        """From now on packets to the namespace, from it, or both get lost."""
        for is_lost, words in zip((there, back), self.neighbour("neigh", "replace")):
            if is_lost:
                ip(*words, "lladdr", NOBODY, "nud", "permanent")

    def heal(self):
        for words in self.neighbour("neigh", "delete"):
            subprocess.run(["ip", *words], capture_output=True, check=False)


def network_fault():
    """Why this machine can't join two network namespaces; empty when it can."""
    if os.geteuid() != 0:
        return "needs root for a network namespace"
    if not shutil.which("ip"):
        return "needs the program ip"
    try:
        with JoinedNetwork():
            return ""
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.decode().strip()}"

# SPDX-License-Identifier: Apache-2.0
"""Self-test of tools/tidy: a tree without faults, and one fault at a time put into it."""

import pathlib
import tempfile

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HASH_LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"

CLEAN = {
    "ARCHITECTURE.md": "| base | 0 | memory | \u2013 |\n| domain | 1 | records | base |\n",
    "src/meson.build": HASH_LICENCE + "layers = [\n  ['base', []],\n  ['domain', ['base']],\n]\n",
    "src/base/meson.build": HASH_LICENCE + "sources = files('mem.c')\n",
    "src/base/mem.h": LICENCE + "#pragma once\n#include <stddef.h>\n\n"
                                "/* Zeroed bytes. */\nvoid *mem_alloc(size_t n);\n",
    "src/base/mem.c": LICENCE + '#include "base/mem.h"\n\nstatic const int limits[] = {1};\n'
                                "const struct hooks {\n    int x;\n} hooks = {1};\n"
                                "static const char *const names[] = {\"a\"};\n"
                                "struct plain {\n    int x;\n};\n\n"
                                "static int call(int (*fn)(void *ctx));\n\n"
                                "void *mem_alloc(size_t n)\n{\n    return n ? NULL : (void *)0;\n"
                                "}\n",
    "src/domain/meson.build": HASH_LICENCE + "sources = files('user.c')\n",
    "src/domain/user.h": LICENCE + "#pragma once\n\nenum role { ADMIN };\n\n"
                                   "/* Word of a role. */\n"
                                   "const char *role_name(enum role role);\n",
    "src/domain/user.c": LICENCE + '#include "domain/user.h"\n\n#include "base/mem.h"\n',
}

LONG_FUNCTION = "\nvoid f(void)\n{\n" + "    g();\n" * 70 + "}\n"

# (check, file, text put at its end or None for a fresh file's whole text, part of the finding)
FAULTS = [
    ("layers", "src/base/mem.c", '#include "domain/user.h"\n', "base may not include domain"),
    ("layers", "src/base/mem.c", '#include "mem.h"\n', "includes start at src/"),
    ("layers", "ARCHITECTURE.md", "| io | 1 | loops | base |\n", "io: ARCHITECTURE.md says"),
    ("private_headers", "src/domain/user.c", '#include "base/x_priv.h"\n', "is private"),
    ("headers_compile", "src/domain/user.h", "/* x */\nint user(struct str, size_t x);\n",
     "does not compile alone"),
    ("built", "src/base/lost.c", LICENCE, "is in no src/base/meson.build"),
    ("banned_calls", "src/base/mem.c", "\nint f(void)\n{\n    return atoi(x);\n}\n", "atoi()"),
    ("mutable_state", "src/base/mem.c", "static int counter;\n", "counter is mutable"),
    ("mutable_state", "src/base/mem.c", "const char *word = 0;\n", "word is mutable"),
    ("mutable_state", "src/base/mem.c", "static struct { int a; } one;\n", "one is mutable"),
    ("mutable_state", "src/base/mem.c", "static int table[4] = {1};\n", "table is mutable"),
    ("mutable_state", "src/base/mem.c", "static void (*hook)(void);\n", "hook is mutable"),
    ("function_lengths", "src/base/mem.c", LONG_FUNCTION, "f() has 72 lines"),
    ("file_lengths", "src/base/mem.c", "\n" * 701, "lines, more than 700"),
    ("prototype_comments", "src/base/mem.h", "\nvoid mem_drop(void *p);\n", "mem_drop() has no"),
    ("enum_names", "src/domain/user.h", "enum colour { RED };\n", "enum colour has no words"),
    ("spdx", "tools/x.py", "print()\n", "no SPDX"),
    ("spdx", "tools/y", "#!/bin/sh\necho\n", "no SPDX"),
    ("lines", "src/base/mem.c", "/* x */ \n", "ends in white space"),
    ("lines", "src/base/mem.c", "\tint x;\n", "has a tab"),
    ("lines", "src/base/mem.c", "/* " + "x" * 100 + " */\n", "has 106 columns"),
    ("lines", "src/base/mem.c", "/* \u00e4 */\n", "not plain ASCII"),
    ("markers", "src/base/mem.c", "/* TO" "DO */\n", "finish it"),
    ("registries", "README.md", "pip install -i https://py" "pi.org/simple x\n", "registry"),
    ("ratchet", "tools/tidy-ratchet.json", '{"file_lines": {"src/gone.c": 900}}\n', "not needed"),
]


def write_tree(root, name=None, text=""):
    """Writes the clean tree with `text` behind the file `name`."""
    for path, content in CLEAN.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    if name:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(CLEAN.get(name, "") + text)


def findings(tree_class, checks, root):
    tree = tree_class(root)
    return [(check.__name__.removeprefix("check_"), f"{name}: {message}")
            for check in checks for name, _, message in check(tree)]


def self_test(tree_class, checks):
    """Returns how many cases failed, after saying which."""
    failed = 0
    for check, name, text, part in [("", None, "", "")] + FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write_tree(root, name, text)
            # Compiling headers takes most of the time, and only one case is about it.
            chosen = [one for one in checks
                      if check in ("", "headers_compile") or "compile" not in one.__name__]
            found = findings(tree_class, chosen, root)
        wanted = not found if not check else any(
            where == check and part in message for where, message in found)
        if not wanted:
            failed += 1
            print(f"self-test: {check or 'clean tree'} ({name}): found {found}")
    untested = {one.__name__.removeprefix("check_") for one in checks} - {one[0] for one in FAULTS}
    for check in sorted(untested):
        failed += 1
        print(f"self-test: no case for {check}")
    print(f"self-test: {len(FAULTS) + 1 - failed} cases passed, {failed} failed")
    return failed

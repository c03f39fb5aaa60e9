# SPDX-License-Identifier: Apache-2.0
"""The UI's typed client: its types are made of api/openapi.yaml, it compiles, and it speaks with a
real server."""

import os
import subprocess

import pytest

import api_file

UI = api_file.TOP / "ui"
MADE = api_file.TOP / "build/ui"


def run(*command, **environment):
    done = subprocess.run(command, cwd=UI, env={**os.environ, **environment}, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def compiled():
    """Folder with the client and its test as JavaScript."""
    if not (UI / "node_modules").exists():
        pytest.fail("ui/node_modules is missing: npm ci --prefix ui (./check does it)")
    MADE.mkdir(parents=True, exist_ok=True)
    run(api_file.TOP / "tools/openapi", "json", MADE / "openapi.json", "0",
        api_file.TOP / "api/openapi.yaml")
    run("npm", "run", "types")
    run("npm", "run", "build-tests")
    # Node finds packages above the file that asks for them.
    link = MADE / "node_modules"
    if not link.is_symlink():
        link.symlink_to(UI / "node_modules")
    (MADE / "package.json").write_text('{"type": "module"}\n')
    return MADE / "js"


def test_the_typed_client_speaks_with_the_server(serving, compiled):
    out = run("node", compiled / "tests/client.js", SERVER=serving.url, KEY=serving.api_key())
    assert "the typed client works" in out

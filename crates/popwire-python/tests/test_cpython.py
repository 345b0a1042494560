"""CPython's own tests of poplib, unchanged, with `popwire.poplib` in its place.

They run with this interpreter's library; the project's test command runs all of this with every CPython it finds.
"""

import concurrent.futures
import importlib.util
import re
import subprocess
import sys

import pytest

RUN = """
import sys, unittest
if {install}:
    import popwire.poplib
    popwire.poplib.install()
    assert __import__("poplib") is popwire.poplib
import test.test_poplib
assert test.test_poplib.poplib.__name__ == {name!r}
done = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromModule(test.test_poplib))
print("run", done.testsRun, "not passed", len(done.failures + done.errors + done.skipped + done.unexpectedSuccesses))
"""


def run(install):
    name = "popwire.poplib" if install else "poplib"
    command = [sys.executable, "-X", "dev", "-c", RUN.format(install=install, name=name)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(importlib.util.find_spec("test.test_poplib") is None, reason="this Python came without its tests")
def test_all_of_them_pass_and_nothing_leaks():
    # Most of it is waiting.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        theirs, ours = pool.map(run, [False, True])
    assert ours.returncode == theirs.returncode == 0, ours.stderr
    ran, not_passed = re.search(r"run (\d+) not passed (\d+)", ours.stdout).groups()
    assert not_passed == "0", ours.stderr
    assert re.search(r"run (\d+) ", theirs.stdout).group(1) == ran and int(ran) >= 71
    assert "unclosed" not in ours.stderr and "ResourceWarning" not in ours.stderr

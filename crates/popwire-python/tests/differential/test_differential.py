"""Every script, played to both; each difference is on the list, and each on the list is there."""

import poplib

import popwire.poplib
import pytest

from . import differences, scripts
from .script import play

LISTED = differences.listed()


@pytest.mark.parametrize("script", scripts.ALL, ids=lambda script: script.name)
def test_the_same_but_for_what_is_listed(script):
    theirs, ours = play(script, poplib), play(script, popwire.poplib)
    if script.name in LISTED:
        assert ours != theirs, "it is listed as a difference, and there is none"
    else:
        assert ours == theirs


def test_the_list_names_scripts_that_exist():
    assert LISTED <= {script.name for script in scripts.ALL}

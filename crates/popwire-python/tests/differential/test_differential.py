"""Every script, played to both; each difference is on the list, and each on the list is there."""

import poplib

import popwire.poplib
import pytest

from . import differences, scripts
from .script import places, play

LISTED = differences.listed()


@pytest.mark.parametrize("script", scripts.ALL, ids=lambda script: script.name)
def test_the_same_but_for_what_is_listed(script):
    theirs, ours = places(play(script, poplib)), places(play(script, popwire.poplib))
    # By their text too: to `==` octets of another type, or True and 1, are the same.
    otherwise = {place: seen for place, seen in ours.items() if seen != theirs[place] or repr(seen) != repr(theirs[place])}
    assert otherwise == LISTED.get(script.name, {})
    assert ours.keys() == theirs.keys()


def test_the_list_names_scripts_that_exist():
    assert LISTED.keys() <= {script.name for script in scripts.ALL}

"""What can be seen of the two modules without a server: names, signatures, kinds."""

import inspect
import poplib

import popwire.poplib
import pytest

#: What a class has of its own accord, and what its text says.
OF_ANY_CLASS = {"__dict__", "__doc__", "__module__", "__weakref__", "__qualname__", "__firstlineno__", "__static_attributes__"}
CLASSES = ["POP3", "POP3_SSL", "error_proto"]
METHODS = [(c, name) for c in CLASSES for name in vars(getattr(poplib, c)) if inspect.isfunction(getattr(getattr(poplib, c), name))]


def test_every_name_of_the_module_is_there():
    ours, theirs = vars(popwire.poplib), vars(poplib)
    assert theirs.keys() <= ours.keys() | {"__cached__"}
    assert sorted(popwire.poplib.__all__) == sorted(poplib.__all__)
    values = [name for name, value in theirs.items() if isinstance(value, (int, bytes, bool)) and not name.startswith("__")]
    assert {"POP3_PORT", "POP3_SSL_PORT", "CR", "LF", "CRLF", "_MAXLINE", "HAVE_SSL"} <= set(values)
    assert {name: ours[name] for name in values} == {name: theirs[name] for name in values}
    modules = {name: value for name, value in theirs.items() if inspect.ismodule(value)}
    assert {"errno", "re", "socket", "ssl", "sys"} <= modules.keys()
    # Programs put something else into poplib.socket: it has to be the module itself.
    assert all(ours[name] is module for name, module in modules.items())


@pytest.mark.parametrize("name", CLASSES)
def test_every_attribute_of_the_classes_is_there(name):
    ours, theirs = getattr(popwire.poplib, name), getattr(poplib, name)
    assert vars(theirs).keys() - OF_ANY_CLASS <= vars(ours).keys()
    assert "__del__" not in vars(ours) and "__slots__" not in vars(ours)


@pytest.mark.parametrize("owner, name", METHODS)
def test_every_method_is_a_function_with_the_same_parameters(owner, name):
    ours, theirs = getattr(getattr(popwire.poplib, owner), name), getattr(getattr(poplib, owner), name)
    assert inspect.isfunction(ours) and inspect.signature(ours) == inspect.signature(theirs)


def test_class_attributes():
    ours, theirs = popwire.poplib.POP3, poplib.POP3
    assert ours.encoding == theirs.encoding
    assert (ours.timestamp.pattern, ours.timestamp.flags) == (theirs.timestamp.pattern, theirs.timestamp.flags)


def test_the_classes_are_related_as_poplibs_are():
    assert popwire.poplib.POP3_SSL.__bases__ == (popwire.poplib.POP3,) and popwire.poplib.POP3.__bases__ == (object,)
    # Whoever catches poplib's catches ours; the other way round, poplib's own is none of ours.
    assert popwire.poplib.error_proto.__bases__ == (poplib.error_proto,)
    assert str(popwire.poplib.error_proto(b"-ERR no")) == "b'-ERR no'"

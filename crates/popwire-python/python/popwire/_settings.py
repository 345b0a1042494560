"""The arguments that both clients have in common, and their defaults."""

from __future__ import annotations

import os
from typing import Iterable, Mapping, Optional, Sequence, Tuple, Union

from popwire import _native

PathOrPem = Union[str, "os.PathLike[str]", bytes]


def pem(source: PathOrPem) -> bytes:
    """PEM by itself, or the file that has it."""
    if isinstance(source, bytes):
        return source
    with open(source, "rb") as file:
        return file.read()


def settings(
    host: str,
    port: Optional[int],
    security: str,
    ca: Optional[PathOrPem],
    pins: Sequence[str],
    client_certificate: Optional[Tuple[PathOrPem, PathOrPem]],
    server_name: Optional[str],
    dangerous_accept_any_certificate: bool,
    dangerous_login_without_verified_tls: bool,
    timeouts: Optional[Mapping[str, Optional[float]]],
    limits: Optional[Mapping[str, int]],
    pipelining: str,
    window: Tuple[int, int],
    capa: bool,
    without_capabilities: Iterable[str],
) -> _native.Settings:
    if not host:
        raise ValueError("there is no host")
    if port is not None and not 0 < port < 1 << 16:
        raise ValueError(f"port {port}: it is from 1 to 65535")
    if window[0] < 1 or window[1] < 0:
        raise ValueError("window is (commands, octets): one command at least, and no negative number of octets")
    for name, limit in (limits or {}).items():
        if limit < 0:
            raise ValueError(f"limit {name}: it is negative")
    client = None if client_certificate is None else (pem(client_certificate[0]), pem(client_certificate[1]))
    return _native.Settings(
        host,
        port=port,
        security=security,
        ca=None if ca is None else pem(ca),
        pins=list(pins),
        client=client,
        server_name=server_name,
        verify=not dangerous_accept_any_certificate,
        login_in_the_clear=dangerous_login_without_verified_tls,
        timeouts=dict(timeouts or {}),
        limits=dict(limits or {}),
        pipelining=pipelining,
        window=window,
        capa=capa,
        without=list(without_capabilities),
    )


def octets(value: Union[str, bytes]) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        # Not what it is: it may be a secret.
        raise TypeError(f"str or bytes, not {type(value).__name__}")
    return value


def login(
    user: Union[str, bytes, None],
    password: Union[str, bytes, None],
    token: Union[str, bytes, None],
    methods: Sequence[str],
    acting_as: Union[str, bytes],
    attempts: Optional[int],
) -> _native.Login:
    if isinstance(methods, str):
        raise TypeError("methods is a list of names, not one name")
    if password is not None and token is not None:
        raise TypeError("a password or a token, not both")
    if token is not None:
        kind, secret = "token", token
    elif password is not None:
        kind, secret = ("apop" if [m.upper() for m in methods] == ["APOP"] else "password"), password
    elif [m.upper() for m in methods] == ["ANONYMOUS"]:
        kind, secret = "anonymous", ""
    elif user is None or [m.upper() for m in methods] == ["EXTERNAL"]:
        kind, secret = "external", ""
    else:
        raise TypeError("a password, a token, or methods=['EXTERNAL']")
    if kind in ("apop", "anonymous", "external"):
        methods = []
    name = b"" if user is None else octets(user)
    return _native.Login(kind, name, octets(secret), list(methods), octets(acting_as), attempts)

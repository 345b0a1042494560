"""The exceptions of ``popwire``: what failed, and whether it may be tried again."""

from __future__ import annotations

import builtins
from typing import Optional


class Error(Exception):
    """What went wrong. Its text is for people, and never has a secret in it."""

    #: The server's line, if it was one that failed.
    reply: Optional[bytes] = None
    #: The response code of that line without its brackets, such as ``SYS/TEMP`` (RFC 2449 section 8).
    code: Optional[str] = None
    #: The server has a trouble that may pass.
    is_temporary: bool = False
    #: The same attempt makes sense later.
    is_retryable: bool = False
    #: After how many seconds at the least.
    retry_after: Optional[float] = None


class Refused(Error):
    """The server said ``-ERR``. Unless it hung up, the session can go on."""


class AuthenticationFailed(Refused):
    """The credentials were refused. To try again with the same ones does not help."""


class InUse(Refused):
    """The maildrop is locked by another session. The credentials were right."""


class Unsupported(Refused):
    """The server does not have the command; TOP and UIDL among others are optional."""


class NetworkError(Error, builtins.OSError):
    """The connection could not be made, or broke."""


class Closed(NetworkError, builtins.ConnectionError):
    """The connection ended before the answer. A message that was being read is not complete."""


class Timeout(Error, builtins.TimeoutError):
    """A deadline passed. The session is over."""


class TlsError(Error):
    """TLS could not be set up, or the server is not the one it should be. Nothing secret was sent."""


class ServerUntrusted(Error):
    """The server failed to prove within the login what it has to prove: somebody may stand in between."""


class Forbidden(Error):
    """A rule of safety on this side forbade the step, such as a password in the clear. Nothing was sent."""


class Misuse(Error, builtins.ValueError):
    """An argument or the moment was wrong. Nothing was sent, and the session is as it was."""


class ProtocolError(Error):
    """The other side does not keep to the protocol. The session is over."""

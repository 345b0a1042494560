"""POP3 that loses no mail."""

from popwire._native import __version__

__all__ = ["__version__"]

"""The version of lidr; what lidr imports itself reads it here."""

__version__ = "0.2.0"

"""What this machine and its environment have and lack for lidr.

In: nothing but the environment. Out: `Check`s, each with what to do where it is not well; nothing is changed.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.doctor.machine_checks import Check, examine, machine_said

__all__ = ["Check", "examine", "machine_said"]
__getattr__ = lazily(__name__)

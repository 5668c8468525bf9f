"""Pixels in memory that has a descriptor: one process draws them, another one reads them, and nobody copies them."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Self


class SharedPixels:
    """Memory of so many bytes. descriptor: of it, closed with this object. Linux only.

    Who has the descriptor may write to it, but nobody can make it shorter, which would crash who reads it.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._size = size

    @classmethod
    def allocated(cls, size: int) -> Self:
        """New memory, which takes none until it is written to. Raises OSError."""
        shared = cls(os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), size)
        os.ftruncate(shared.descriptor, size)
        fcntl.fcntl(shared.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return shared

    def start(self, size: int) -> Self:
        """The first bytes of the same memory. Raises ValueError when it has not so many."""
        if not 0 < size <= self._size:
            raise ValueError(f"{size} bytes of pixels in {self._size} bytes of memory")
        return type(self)(os.dup(self.descriptor), size)

    def view(self) -> memoryview:
        """To read them, also once this object is gone."""
        return memoryview(mmap.mmap(self.descriptor, self._size, prot=mmap.PROT_READ))

    def __len__(self) -> int:
        return self._size

    def __del__(self) -> None:
        os.close(self.descriptor)

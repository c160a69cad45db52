"""What a cubin says of its kernels: an ELF file whose `.nv.info` sections list registers, stack and parameters.

NVIDIA documents the container and not the attributes; their numbers are those that `cuobjdump -elf` names, checked
against `cuobjdump --dump-resource-usage` and `ptxas -v`. Whatever is not as expected raises CandidateError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from assay.build.resources import KernelResources
from assay.errors import CandidateError

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_EM_CUDA = 190
_ENTRY = 0x10
"""Bit of a symbol's `st_other` that marks a kernel: STO_CUDA_ENTRY."""
_FRAME_SIZE, _KPARAM_INFO, _REGCOUNT = 0x11, 0x17, 0x2F
_WITH_DATA = 4
"""The format of an attribute whose size is followed by that many bytes; the others are four bytes in all."""
_SHARED_RESERVED = 1024
"""Of a kernel with static shared memory, included in the section's size from compute capability 9.0 on."""
_INSTRUCTION_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    size: int
    data: bytes


def read_kernels(cubin: bytes) -> tuple[KernelResources, ...]:
    """Every kernel in the file, by name. Raises CandidateError where it is no cubin."""
    try:
        sections = {section.name: section for section in _sections(cubin)}
        common = _attributes(sections[".nv.info"].data) if ".nv.info" in sections else []
        symbols = _kernel_symbols(sections)
        registers = {number: value for attribute, data in common if attribute == _REGCOUNT
                     for number, value in [struct.unpack("<II", data)]}  # fmt: skip
        frames = {number: value for attribute, data in common if attribute == _FRAME_SIZE
                  for number, value in [struct.unpack("<II", data)]}  # fmt: skip
        return tuple(
            _kernel(name, registers.get(number, 0), frames.get(number, 0), sections)
            for name, number in sorted(symbols.items())
        )
    except (struct.error, KeyError, ValueError, IndexError) as error:
        raise CandidateError("the compiler's output is no cubin", value=f"{type(error).__name__}: {error}") from None


def _kernel(name: str, registers: int, frame: int, sections: dict[str, _Section]) -> KernelResources:
    shared = sections.get(f".nv.shared.{name}")
    own = max(shared.size - _SHARED_RESERVED, 0) if shared else 0
    sizes: dict[int, int] = {}
    for attribute, data in _attributes(sections[f".nv.info.{name}"].data):
        if attribute == _KPARAM_INFO:
            _, ordinal, _, packed = struct.unpack("<IHHI", data)
            sizes[ordinal] = packed >> 18 & 0x3FFF
    parameters = tuple(sizes[i] for i in range(len(sizes)))
    return KernelResources(
        name, registers, own, frame, sections[f".text.{name}"].size // _INSTRUCTION_BYTES, parameters
    )


def _sections(cubin: bytes) -> Iterator[_Section]:
    magic, _, machine, _, _, _, offset, _, _, _, _, size, count, names = _HEADER.unpack_from(cubin)
    if magic[:5] != b"\x7fELF\x02" or machine != _EM_CUDA:
        raise ValueError("no ELF file for CUDA")
    headers = [_SECTION.unpack_from(cubin, offset + number * size) for number in range(count)]
    texts = cubin[headers[names][4] : headers[names][4] + headers[names][5]]
    for header in headers:
        no_bits = header[1] == 8
        data = b"" if no_bits else cubin[header[4] : header[4] + header[5]]
        if not no_bits and len(data) != header[5]:
            raise ValueError("a section ends after the file")
        yield _Section(_text(texts, header[0]), header[5], data)


def _kernel_symbols(sections: dict[str, _Section]) -> dict[str, int]:
    names = sections[".strtab"].data
    symbols = _SYMBOL.iter_unpack(sections[".symtab"].data)
    return {_text(names, symbol[0]): number for number, symbol in enumerate(symbols) if symbol[2] & _ENTRY}


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        form, attribute, size = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == _WITH_DATA:
            found.append((attribute, data[at : at + size]))
            at += size
    return found


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()

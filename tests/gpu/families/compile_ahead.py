"""Compiles candidates for GPUs that are not here: `compile_ahead.py CAPABILITY`, with a JSON list on standard input.

Each entry has a candidate's `text`, the element types of its tensors by name (`types`), and optionally the indices of
the `launches` to compile. Prints a JSON line for each launch: kernel, registers of a thread, bytes that it spills,
bytes of shared memory, the widest global access in bytes, and the tensor cores' instructions.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from assay.core.sources import SourceFile
from assay.launch.plan import find_plan

POINTERS = {
    "float32": "*fp32", "float64": "*fp64", "float16": "*fp16", "bfloat16": "*bf16", "int64": "*i64", "int32": "*i32",
    "int16": "*i16", "int8": "*i8", "uint8": "*u8", "bool": "*i1",
}  # fmt: skip
NUMBERS = {"i32": "i32", "u32": "u32", "i64": "i64", "u64": "u64", "f32": "fp32", "f64": "fp64"}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def loaded(text, folder):
    """The file's functions."""
    path = Path(folder) / f"candidate_{abs(hash(text))}.py"
    path.write_text(text)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def source(function, launch, types):
    """The kernel as a launch asks for it: memory begins at multiples of 16 bytes, of numbers nothing is known."""
    signature, constants, known = {}, {}, {}
    given = dict(launch.constants)
    for number, name in enumerate(function.arg_names):
        if number < len(launch.arguments):
            argument = launch.arguments[number]
            if argument.type == "pointer":
                signature[name] = POINTERS[types[argument.name]] if argument.name in types else "*u8"
                known[(number,)] = [["tt.divisibility", 16]]
            else:
                signature[name] = NUMBERS[argument.type]
        else:
            signature[name], constants[(number,)] = "constexpr", given[name]
    return ASTSource(function, signature, constants, known)


def resources(binary):
    """Registers of a thread, and bytes of them that the machine code keeps in memory."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [TOOLS / "cuobjdump", "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"REG:(\d+)", said)[1]), int(re.search(r"STACK:(\d+)", said)[1])


def widest(ptx):
    """Bytes of the widest access to global memory."""
    found = re.findall(r"(?:ld|st)\.global[.\w]*?(?:\.v(\d))?\.b(\d+)", ptx) + re.findall(
        r"cp\.async[.\w]*()\s.*?, 0x(10|8|4)", ptx
    )
    return max((int(count or 1) * int(bits) // 8 for count, bits in found), default=0)


def main(capability):
    with tempfile.TemporaryDirectory() as folder:
        for entry in json.load(sys.stdin):
            plan, module = find_plan([SourceFile("kernel.py", entry["text"])]), loaded(entry["text"], folder)
            for index in entry.get("launches") or range(len(plan.launches)):
                launch = plan.launches[index]
                options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
                asked = source(getattr(module, launch.kernel), launch, entry["types"])
                made = triton.compile(asked, target=GPUTarget("cuda", capability, 32), options=options)
                registers, spilled = resources(made.asm["cubin"])
                found = {
                    "kernel": launch.kernel, "launch": index, "constants": dict(launch.constants),
                    "registers": registers, "spilled_bytes": spilled, "shared_bytes": made.metadata.shared,
                    "widest_bytes": widest(made.asm["ptx"]),
                    "tensor_cores": sorted(set(re.findall(r"(?:wgmma\.mma_async|mma\.sync)[.\w]*", made.asm["ptx"]))),
                }  # fmt: skip
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

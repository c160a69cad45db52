"""The compiler flags that a candidate may ask for. Everything else is refused by name, before a compiler runs."""

from __future__ import annotations

import re

from assay.core.sources import Candidate, Language
from assay.errors import CandidateError

BASE = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC", "-shared", "-fno-math-errno", "-w")
"""What every candidate is compiled with; -fno-math-errno lets gcc vectorise sqrt and friends and changes no result."""

_ALLOWED = re.compile(
    "|".join((
        r"-O(0|1|2|3|s|fast)", r"-std=(c|gnu)\+\+(14|17|20|2a|23|2b)", r"-march=(native|x86-64(-v[234])?)",
        r"-mtune=native", r"-m(avx2|fma|f16c|bmi2|avx512(f|bw|cd|dq|vl|vnni|bf16|fp16|vbmi))",
        r"-mprefer-vector-width=(128|256|512)", r"-f(no-)?(fast-math|unroll-loops|math-errno|trapping-math|tree-pre)",
        r"-f(no-)?(associative-math|reciprocal-math|signed-zeros|finite-math-only|tree-vectorize|openmp(-simd)?)",
        r"-f(no-)?(strict-aliasing|exceptions|rtti|inline-functions|omit-frame-pointer|rounding-math|ipa-pta)",
        r"-fno-semantic-interposition", r"-funsafe-math-optimizations", r"-ffp-contract=(off|on|fast)",
        r"-fvect-cost-model=(unlimited|dynamic|cheap|very-cheap)", r"-fvisibility=hidden", r"-flto",
        r"-D[A-Za-z_]\w*(=[\w.+-]*)?", r"-l(m|gomp|pthread|torch_cpu)", r"-pthread",
    ))
)  # fmt: skip


_CUDA_ALLOWED = re.compile(
    "|".join((
        r"-O[0-3]", r"-maxrregcount=\d{1,3}", r"-d[ls]cm=(ca|cg|cs|wb|wt)", r"-std=c\+\+(14|17|20)",
        r"--?use_fast_math", r"--?(ftz|prec-div|prec-sqrt|fmad)=(true|false)", r"--?extra-device-vectorization",
        r"--?expt-relaxed-constexpr", r"--?extended-lambda", r"-D[A-Za-z_]\w*(=[\w.+-]*)?",
    ))
)  # fmt: skip
_RULES = {
    Language.CPP: (_ALLOWED, "optimisation, instruction-set, language and -D flags, -lm, -lgomp, -lpthread and "
                             "-ltorch_cpu"),
    Language.TRITON: (re.compile("(?!)"), "none: constants, num_warps and num_stages stand in the launch plan"),
    Language.CUDA: (_CUDA_ALLOWED, "-O, -maxrregcount, -dlcm, -dscm, -std, -D, and nvcc's flags of arithmetic"),
}  # fmt: skip


def check_flags(candidate: Candidate) -> tuple[str, ...]:
    """The candidate's own flags; raises CandidateError for the first that is not on its language's list."""
    allowed, rule = _RULES[candidate.language]
    for flag in candidate.flags:
        if not allowed.fullmatch(flag):
            raise CandidateError(
                "a build flag is not allowed",
                value=flag,
                rule=rule,
                next_step="remove it; paths, plug-ins, sanitizers and linker options are never passed on",
            )
    return candidate.flags

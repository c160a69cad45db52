"""exp, sigmoid and tanh for programs without a mathematical library, in C99 with <stdint.h> only.

exp: the argument is reduced by a multiple of log 2 in two parts (Cody and Waite, Software Manual for the Elementary
Functions, chapter 6), the Taylor series to the seventh power gives exp of the rest, which is below log(2) / 2 (it errs
by a relative 5e-9), and the exponent is set in the bits of an IEEE 754 float. tanh below 0.4 is its Taylor series to
the thirteenth power (2e-9); elsewhere it is 1 - 2 / (exp(2 x) + 1).
"""

from __future__ import annotations

EXP = """\
/* e to the power of x; 0 and infinity are not reached: the argument is held within -87 and 88. */
static float @exp(float x)
{
    union { uint32_t bits; float value; } power;
    if (x != x) {
        return x;
    }
    if (x < -87.0f) {
        x = -87.0f;
    }
    if (x > 88.0f) {
        x = 88.0f;
    }
    const float halves = x * 1.44269504f;
    const int32_t k = (int32_t)(halves < 0.0f ? halves - 0.5f : halves + 0.5f);
    const float n = (float)k;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    power.bits = (uint32_t)(k + 127) << 23;
    return p * power.value;
}
"""

SIGMOID = """\
static float @sigmoid(float x)
{
    if (x < 0.0f) {
        const float e = @exp(x);
        return e / (1.0f + e);
    }
    return 1.0f / (1.0f + @exp(-x));
}
"""

TANH = """\
static float @tanh(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (size < 0.4f) {
        const float s = x * x;
        float p = 3.59212803e-3f;
        p = p * s - 8.86323553e-3f;
        p = p * s + 2.18694885e-2f;
        p = p * s - 5.39682540e-2f;
        p = p * s + 1.33333333e-1f;
        p = p * s - 3.33333333e-1f;
        return x + x * s * p;
    }
    const float tail = 2.0f / (@exp(2.0f * size) + 1.0f);
    return x < 0.0f ? tail - 1.0f : 1.0f - tail;
}
"""

SCALE = """\
/* a * m / 2^15 / 2^s, rounded to the nearest; both halves of the product fit 32 bits for |a| < 2^30. */
static inline int32_t @scale(int32_t a, int32_t m, int32_t s)
{
    const int32_t t = (a >> 15) * m + (((a & 0x7fff) * m) >> 15);
    return (t + ((INT32_C(1) << s) >> 1)) >> s;
}
"""

CLAMP = """\
static inline int32_t @clamp(int32_t a, int32_t least, int32_t most)
{
    return a < least ? least : a > most ? most : a;
}
"""

ARITHMETIC_SHIFT = """\
/* Shifts to the right have to keep the sign, as those of gcc, clang and all known compilers for small machines do. */
typedef char @needs_arithmetic_shifts[(-5 >> 1) == -3 ? 1 : -1];
"""

/* Answers the inputs of the file `inputs` into the file `outputs`, by semihosting (Arm, Semihosting for AArch32 and
 * AArch64). Calls of `mark` bound each answer; the file `stack` gets the bytes of stack that the last one takes. */
#include <stdint.h>

#include HEADER

enum { OPEN = 1, CLOSE = 2, WRITE = 5, READ = 6, EXIT = 0x18, READ_BINARY = 1, WRITE_BINARY = 5 };
enum { PATTERN = 0xA5 };

extern uint8_t bss_end;
void mark(void);

static int32_t host(int32_t operation, const void *arguments)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int32_t open(const char *name, uint32_t length, uint32_t mode)
{
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
    return host(OPEN, arguments);
}

static int32_t transfer(int32_t operation, int32_t file, void *data, uint32_t size)
{
    const uintptr_t arguments[3] = {(uintptr_t)file, (uintptr_t)data, size};
    return host(operation, arguments);
}

static INPUT input[INPUTS];
static OUTPUT output[OUTPUTS];

static inline void answer(void)
{
#ifdef DECIDES
    output[0] = CALL(input);
#else
    CALL(input, output);
#endif
}

/* Two marks without, then two with a call between them. */
__attribute__((noinline)) void mark(void)
{
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void marked(void)
{
    mark();
    mark();
    answer();
    mark();
}

/* How far below its caller's stack a call writes: what lies there is painted before. */
__attribute__((noinline)) static uint32_t stack_bytes(void)
{
    uint8_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile uint8_t *at = &bss_end; at < top; at++) {
        *at = PATTERN;
    }
    answer();
    volatile uint8_t *lowest = &bss_end;
    while (lowest < top && *lowest == PATTERN) {
        lowest++;
    }
    return (uint32_t)(top - lowest);
}

int main(void)
{
    const int32_t inputs = open("inputs", 6, READ_BINARY);
    const int32_t outputs = open("outputs", 7, WRITE_BINARY);
    if (inputs < 0 || outputs < 0) {
        host(EXIT, (void *)0x20023);
    }
    while (transfer(READ, inputs, input, sizeof input) == 0) {
        marked();
        transfer(WRITE, outputs, output, sizeof output);
    }
    transfer(CLOSE, outputs, 0, 0);
    const uint32_t stack = stack_bytes();
    const int32_t file = open("stack", 5, WRITE_BINARY);
    transfer(WRITE, file, (void *)&stack, sizeof stack);
    transfer(CLOSE, file, 0, 0);
    host(EXIT, (void *)0x20026);
    return 0;
}

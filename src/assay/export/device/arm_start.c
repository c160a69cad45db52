/* Start of a bare Cortex-M program: a vector table of two entries, and the two functions that gcc may call by itself. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;
int main(void);
void reset(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {&stack_top, (const void *)reset};

void *memset(void *there, int value, size_t count)
{
    for (unsigned char *at = there; count--;) {
        *at++ = (unsigned char)value;
    }
    return there;
}

void *memcpy(void *there, const void *from, size_t count)
{
    const unsigned char *source = from;
    for (unsigned char *at = there; count--;) {
        *at++ = *source++;
    }
    return there;
}

void reset(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the floating-point unit is off after a reset */
    __asm__ volatile("dsb\n isb");
#endif
    for (uint32_t *at = &data_start, *from = &data_load; at < &data_end;) {
        *at++ = *from++;
    }
    for (uint32_t *at = &bss_start; at < &bss_end;) {
        *at++ = 0;
    }
    main();
    for (;;) {
    }
}

/* Answers the inputs that are in the program itself, and says on the serial line, in hexadecimal: an output's bytes, the
 * stack of a call, and what timer 1 counts in a call at the processor's own pace (modulo 2^16) and at a 1024th of it,
 * less what it counts between two readings. From both the exact number of cycles follows. */
#include <avr/io.h>
#include <stdint.h>

#include HEADER
#include "inputs.h"

enum { PATTERN = 0xA5, FULL_PACE = 1, A_1024TH = 5 };

static INPUT input[INPUTS];
static OUTPUT output[OUTPUTS];
extern uint8_t __heap_start;

static void say(uint8_t character)
{
    while (!(UCSR0A & (1 << UDRE0))) {
    }
    UDR0 = character;
}

static void say_bytes(char name, const void *data, uint16_t count)
{
    const uint8_t *bytes = data;
    say((uint8_t)name);
    for (; count--; bytes++) {
        say((uint8_t)"0123456789abcdef"[*bytes >> 4]);
        say((uint8_t)"0123456789abcdef"[*bytes & 15]);
    }
    say('\n');
}

static inline __attribute__((always_inline)) void answer(void)
{
#ifdef DECIDES
    output[0] = CALL(input);
#else
    CALL(input, output);
#endif
}

static void load(uint16_t number)
{
    uint8_t *bytes = (uint8_t *)input;
    for (uint16_t at = 0; at < sizeof input; at++) {
        bytes[at] = given[number * sizeof input + at];
    }
}

static __attribute__((noinline)) uint16_t count(uint8_t pace)
{
    TCCR1B = 0;
    GTCCR = 1 << PSRSYNC;
    TCNT1 = 0;
    TCCR1B = pace;
    answer();
    return TCNT1;
}

static __attribute__((noinline)) uint16_t count_nothing(uint8_t pace)
{
    TCCR1B = 0;
    GTCCR = 1 << PSRSYNC;
    TCNT1 = 0;
    TCCR1B = pace;
    __asm__ volatile("" ::: "memory");
    return TCNT1;
}

static __attribute__((noinline)) uint16_t stack_bytes(void)
{
    uint8_t *const top = (uint8_t *)SP;
    for (volatile uint8_t *at = &__heap_start; at < top; at++) {
        *at = PATTERN;
    }
    answer();
    volatile uint8_t *lowest = &__heap_start;
    while (lowest < top && *lowest == PATTERN) {
        lowest++;
    }
    return (uint16_t)(top - lowest);
}

int main(void)
{
    UCSR0B = 1 << TXEN0;
    for (uint16_t number = 0; number < NUMBER; number++) {
        load(number);
        answer();
        say_bytes('o', output, sizeof output);
        if (number < TIMED) {
            const uint16_t found[3] = {count(FULL_PACE) - count_nothing(FULL_PACE), count(A_1024TH), stack_bytes()};
            say_bytes('t', found, sizeof found);
        }
    }
    say('.');
    say('\n');
    __asm__ volatile("cli\n sleep"); /* the emulator ends here */
    for (;;) {
    }
}

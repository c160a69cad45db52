/* A program that does nothing but answer, for its size. */
#include <stdint.h>

#include HEADER

INPUT input[INPUTS];
OUTPUT output[OUTPUTS];

int main(void)
{
    for (;;) {
#ifdef DECIDES
        *(volatile OUTPUT *)output = CALL(input);
#else
        CALL(input, output);
#endif
        __asm__ volatile("" ::: "memory");
    }
}

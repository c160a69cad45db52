/* Runs an exported program on the host: inputs from standard input, or all bits of a range of numbers; outputs to
 * standard output, all as raw numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include HEADER

static int answer(const INPUT *input)
{
    OUTPUT output[OUTPUTS];
#ifdef ARENA
    static ARENA_TYPE arena[ARENA];
#define MEMORY , arena
#else
#define MEMORY
#endif
#ifdef DECIDES
    output[0] = CALL(input MEMORY);
#else
    CALL(input, output MEMORY);
#endif
    return fwrite(output, sizeof output, 1, stdout) == 1;
}

int main(int count, char **arguments)
{
    INPUT input[INPUTS];
    if (count == 4 && strcmp(arguments[1], "binary") == 0) {
        const unsigned long first = strtoul(arguments[2], NULL, 10), total = strtoul(arguments[3], NULL, 10);
        for (unsigned long number = first; number < first + total; number++) {
            for (int bit = 0; bit < INPUTS; bit++) {
                input[bit] = (INPUT)(number >> bit & 1);
            }
            if (!answer(input)) {
                return 1;
            }
        }
        return fflush(stdout) != 0;
    }
    while (fread(input, sizeof input, 1, stdin) == 1) {
        if (!answer(input)) {
            return 1;
        }
    }
    return fflush(stdout) != 0;
}

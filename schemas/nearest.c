/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schemas/nearest.h"

#include <ctype.h>

#define WORD_MAX 40

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment: a swap of neighbours is one edit ("flase"). */
static unsigned distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[3][WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *now = row[i % 3], *before = row[(i - 1) % 3], *older = row[(i + 1) % 3];

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);

            now[j] = min3(before[j] + 1, now[j - 1] + 1, before[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && older[j - 2] + 1 < now[j])
                now[j] = older[j - 2] + 1;
        }
    }
    return row[la % 3][lb];
}

struct sl_nearest sl_nearest_start(const char *word)
{
    size_t len = strlen(word);
    unsigned reach = len < 3 ? 1 : len < 6 ? 2 : 3;

    return (struct sl_nearest){.word = word, .distance = reach + 1};
}

void sl_nearest_try(struct sl_nearest *nearest, const char *candidate)
{
    unsigned d = distance(nearest->word, candidate);

    if (d < nearest->distance && d < strlen(candidate)) {
        nearest->best = candidate;
        nearest->distance = d;
    }
}

const char *sl_nearest_of(const char *word, const char *const *candidates)
{
    struct sl_nearest nearest = sl_nearest_start(word);

    for (; *candidates; candidates++)
        sl_nearest_try(&nearest, *candidates);
    return nearest.best;
}

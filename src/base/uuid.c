#include "base/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void
uuid_make(char out[UUID_SIZE])
{
    unsigned char b[16];
    unsigned at = 0;
    if (getrandom(b, sizeof b, 0) != sizeof b)
        for (unsigned i = 0; i < sizeof b; i++) /* too early after boot */
            b[i] = (unsigned char)random();
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (unsigned i = 0; i < sizeof b; i++)
        at += (unsigned)snprintf(out + at, UUID_SIZE - at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                 b[i]);
}

/* uuid.h - random UUIDs (RFC 9562, version 4) as text. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

enum { UUID_SIZE = 37 }; /* bytes, with the NUL */

void uuid_make(char out[UUID_SIZE]);

#endif

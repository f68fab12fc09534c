/* uuid.h - random UUIDs (RFC 9562, version 4), as bytes and as text. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/str.h"

enum { UUID_BYTES = 16, UUID_SIZE = 37 }; /* of the text, with the NUL */

void uuid_make(unsigned char out[UUID_BYTES]);
struct str uuid_text(const unsigned char id[UUID_BYTES], char out[UUID_SIZE]);
/* 0, or -1: TEXT is none in lower case, as we write them. */
int uuid_parse(struct str text, unsigned char out[UUID_BYTES]);

#endif

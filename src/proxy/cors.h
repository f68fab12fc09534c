/* cors.h - cross-origin headers in the origin's place (spec: proxying 9.1, grip 11). */
#ifndef PROXY_CORS_H
#define PROXY_CORS_H

#include "proto/header.h"

/* Append to H, the headers of an answer to a request with headers REQUEST, each where it is missing. */
void cors_add(const struct headers *request, struct headers *h);

#endif

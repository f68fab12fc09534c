/* testorigin.h - the built-in `test` target (spec: sockjs-and-test-handler 7): answers as an origin would. */
#ifndef ORIGIN_TESTORIGIN_H
#define ORIGIN_TESTORIGIN_H

#include "proto/http1.h"

/* Answer a request for PATH (with its query). HEAD gets status and headers, in the list's own memory; the body is a
 * constant, or DEMO, the page. */
struct str testorigin_answer(struct str path, bool too_large, struct str demo, struct http1_head *head);

/* The same for a WebSocket: 101 at /ws, with a Grip-Channel header for each channel that it is subscribed to. */
struct str testorigin_upgrade(struct str path, struct http1_head *head);

#endif

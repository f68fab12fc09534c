/* demo.h - the page of the test target on which a browser listens to a channel in four ways. */
#ifndef ORIGIN_DEMO_H
#define ORIGIN_DEMO_H

#include "base/buf.h"

/* Append the page. PORT: where publishers send requests, 0: nowhere. */
void demo_put(unsigned port, struct buf *out);

#endif

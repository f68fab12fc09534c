/* testws.h - what answers WebSockets for the `test` target (spec: sockjs-and-test-handler 8): sends everything back, as
 * it comes, within ws_send(). */
#ifndef ORIGIN_TESTWS_H
#define ORIGIN_TESTWS_H

#include "io/loop.h"
#include "ws/ws.h"

struct ws *testws_new(struct loop *l);

#endif

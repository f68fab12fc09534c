/* loopbase.h - what the other files of io need of the loop. */
#ifndef IO_LOOPBASE_H
#define IO_LOOPBASE_H

#include "io/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { LOOP_READ_SIZE = 65536 };

struct event_base *loop_base(struct loop *l);
/* One buffer that every read of a turn may use; its bytes are gone with the next read. */
char *loop_read_buffer(struct loop *l);
/* Every callback that libevent calls says so first, so that the clock is read once in a turn. */
void loop_woke(struct loop *l);

#endif

/* turns.h - let a real loop turn until something has happened; ten seconds are a failure. */
#ifndef TESTS_IO_TURNS_H
#define TESTS_IO_TURNS_H

#include "test.h"

#include "io/loop.h"

#include <sched.h>
#include <time.h>

/* Seconds of a clock that no test fakes. */
static inline time_t
real_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

#define TURN_UNTIL(l, cond)                                                                                            \
    do {                                                                                                               \
        time_t start_ = real_seconds();                                                                                \
        while (!(cond)) {                                                                                              \
            if (real_seconds() > start_ + 10)                                                                          \
                fail_msg("never came: %s", #cond);                                                                     \
            loop_poll(l);                                                                                              \
            sched_yield();                                                                                             \
        }                                                                                                              \
    } while (0)

#endif

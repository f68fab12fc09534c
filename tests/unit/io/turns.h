/* turns.h - let a real loop turn until something has happened; ten seconds are a failure. */
#ifndef TESTS_IO_TURNS_H
#define TESTS_IO_TURNS_H

#include "test.h"

#include "base/clock.h"
#include "io/loop.h"

#include <sched.h>

#define TURN_UNTIL(l, cond)                                                                                            \
    do {                                                                                                               \
        uint64_t deadline_ = clock_exact_us() + 10 * 1000 * 1000;                                                      \
        while (!(cond)) {                                                                                              \
            if (clock_exact_us() > deadline_)                                                                          \
                fail_msg("never came: %s", #cond);                                                                     \
            loop_poll(l);                                                                                              \
            sched_yield();                                                                                             \
        }                                                                                                              \
    } while (0)

#endif

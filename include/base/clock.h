/* clock.h - monotonic and wall time, read once per loop turn; tests move it by hand. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock, as of the last clock_update(). */
uint64_t clock_now(void);
/* Milliseconds since 1970, as of the same moment. */
uint64_t clock_wall(void);
/* Read both clocks anew; the loop does so when it wakes. Nothing happens while the clock is faked. */
void clock_update(void);
/* Microseconds of the monotonic clock, read now: for measuring how long something in this turn takes. */
uint64_t clock_exact_us(void);

/* For tests: from now on time stands still at MS (wall time: the same) until it is advanced. */
void clock_fake(uint64_t ms);
void clock_fake_advance(uint64_t ms);

#endif

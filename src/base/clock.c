#include "base/clock.h"

#include <time.h>

static uint64_t now_ms, wall_ms;
static bool faked;

static uint64_t
read_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
clock_update(void)
{
    if (faked)
        return;
    now_ms = read_ms(CLOCK_MONOTONIC);
    wall_ms = read_ms(CLOCK_REALTIME);
}

uint64_t
clock_now(void)
{
    if (now_ms == 0)
        clock_update();
    return now_ms;
}

uint64_t
clock_wall(void)
{
    if (wall_ms == 0)
        clock_update();
    return wall_ms;
}

uint64_t
clock_exact_us(void)
{
    struct timespec ts;
    if (faked)
        return now_ms * 1000;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
clock_fake(uint64_t ms)
{
    faked = true;
    now_ms = wall_ms = ms;
}

void
clock_fake_advance(uint64_t ms)
{
    now_ms += ms;
    wall_ms += ms;
}

/* log.h - levels, sinks, line format.
 *
 *   [INFO] 2026-01-02 03:04:05.678 MESSAGE        local time; spec: configuration, "Log format"
 *
 * One event is one line: control characters in MESSAGE are written as \xHH, so that no channel name or URI can
 * forge a line. Lines go to stdout, or are appended to a file that log_reopen() opens anew after rotation. What
 * cannot be written is lost; the process goes on. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>

enum log_level { LOG_ERR = 0, LOG_WARN = 1, LOG_INFO = 2, LOG_DEBUG = 3 };

/* The most talkative level that is written; LOG_INFO at first. Read by the macros below only. */
extern int log_max;

void log_set_level(int level);
/* PATH NULL: stdout. 0, or -1 with E set when the file cannot be opened (the old sink stays). */
int log_open(const char *path, struct err *e);
/* Open the same file again; an error is logged to the old one. */
void log_reopen(void);

static inline bool
log_on(int level)
{
    return level <= log_max;
}

void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                                                                                             \
    do {                                                                                                               \
        if (log_on(level))                                                                                             \
            log_write(level, __VA_ARGS__);                                                                             \
    } while (0)
#define log_err(...) log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif

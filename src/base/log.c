#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16384 };

int log_max = LOG_INFO;
static int fd = STDOUT_FILENO;
static char *file; /* owned; NULL: stdout */

void
log_set_level(int level)
{
    log_max = level;
}

int
log_open(const char *path, struct err *e)
{
    int fresh = STDOUT_FILENO;
    if (path != NULL) {
        fresh = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fresh < 0) {
            err_set(e, "failed to open log file: %s: %s", path, strerror(errno));
            return -1;
        }
    }
    if (fd != STDOUT_FILENO)
        close(fd);
    fd = fresh;
    if (path != file) {
        char *copy = path != NULL ? mem_strdup(path) : NULL;
        mem_free(file);
        file = copy;
    }
    return 0;
}

void
log_reopen(void)
{
    struct err e;
    if (file != NULL && log_open(file, &e) != 0)
        log_err("%s", e.text);
}

/* "2026-01-02 03:04:05", made once a second. */
static const char *
time_text(time_t second)
{
    static time_t made_for = -1;
    static char text[32];
    struct tm tm;
    if (second != made_for) {
        localtime_r(&second, &tm);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
        made_for = second;
    }
    return text;
}

static size_t
escaped(char *out, size_t room, const char *s)
{
    size_t n = 0;
    for (; *s != '\0' && n + 5 < room; s++) {
        unsigned char c = (unsigned char)*s;
        if (c >= 0x20 && c != 0x7f)
            out[n++] = *s;
        else
            n += (size_t)snprintf(out + n, room - n, "\\x%02x", c);
    }
    return n;
}

void
log_write(int level, const char *format, ...)
{
    static const char *const names[] = {"ERR", "WARN", "INFO", "DEBUG"};
    static char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    uint64_t now = clock_wall();
    va_list args;
    size_t n;
    ssize_t rc;
    if (level > LOG_DEBUG)
        level = LOG_DEBUG;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n = (size_t)snprintf(line, sizeof line, "[%s] %s.%03u ", names[level], time_text((time_t)(now / 1000)),
                         (unsigned)(now % 1000));
    n += escaped(line + n, sizeof line - n - 1, text);
    line[n++] = '\n';
    rc = write(fd, line, n);
    (void)rc; /* a full disk or a closed pipe is no reason to stop serving */
}

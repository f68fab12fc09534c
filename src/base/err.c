#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
err_set(struct err *e, const char *format, ...)
{
    va_list args;
    if (e == NULL)
        return;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
}

void
err_prefix(struct err *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    size_t n;
    if (e == NULL)
        return;
    memcpy(text, e->text, sizeof text);
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, "%s", text);
}

/* configload.h - a configuration from an open file: what config_load() does once it has found one. For tests, too. */
#ifndef CONF_CONFIGLOAD_H
#define CONF_CONFIGLOAD_H

#include "conf/config.h"

#include <stdio.h>

/* STREAM may be NULL: defaults only. PATH is its name (not opened), NULL with STREAM. The stream stays the caller's. */
struct config *config_from(FILE *stream, const char *path, const struct config_options *options, struct err *e);

#endif

/* options.h - the command line of pushpind (spec: configuration 5). */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include "base/err.h"
#include "conf/config.h"

struct options {
    struct config_options config; /* borrowed from argv, like all texts */
    const char *logfile;          /* NULL: stdout */
    const char **routes;          /* owned array of --route lines */
    unsigned n_routes;
    bool check;
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_BAD };

/* OPTIONS_DONE: help or version was printed. OPTIONS_BAD: the error and the usage text were printed on stderr. */
enum options_result options_parse(int argc, char **argv, struct options *o);
/* As --route=LINE; LINE is borrowed. */
void options_add_route(struct options *o, const char *line);

#endif

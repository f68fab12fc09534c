/* routesfile.h - the grammar of a routes line: text -> sections -> tokens (spec: routes 2).
 *
 *   example.com,path_beg=/a  localhost:8000,over_http  localhost:8001   # comment
 *   section 0: the condition section 1: a target       section 2 */
#ifndef CONF_ROUTESFILE_H
#define CONF_ROUTESFILE_H

#include "base/err.h"
#include "base/str.h"

struct route_prop {
    struct str name;  /* not empty */
    struct str value; /* empty when there was no '=' */
};

struct route_section {
    struct str first; /* domain or target; empty when the first token was a property */
    struct route_prop *props;
    unsigned n_props;
};

struct route_line {
    struct route_section *sections; /* owned, as are their props */
    unsigned n;                     /* 0: nothing but space and comment; else at least two */
    char *memory;                   /* owned; what the views look at, quotes and backslashes removed */
};

/* 0, or -1 with E set. route_line_clear() in either case. */
int route_line_parse(struct str text, struct route_line *out, struct err *e);
void route_line_clear(struct route_line *l);

#endif

/* routeline.h - one route from the tokens of its line: conditions, properties, targets (spec: routes 3, 4). */
#ifndef CONF_ROUTELINE_H
#define CONF_ROUTELINE_H

#include "conf/routes.h"
#include "conf/routesfile.h"

/* WHERE, "FILE:LINE", begins warnings about properties that do not exist. DIR: base of file: keys. The route has no
 * snapshot and no slot yet; its id is the explicit or the automatic one. NULL with E set when the line is bad. */
struct route *route_from_line(const struct route_line *l, const char *where, const char *dir, struct err *e);
void route_free(struct route *r);

#endif

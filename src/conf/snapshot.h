/* snapshot.h - the routes of one reading of the file, and how they are found (spec: routes 5, 6).
 *
 *   exact  "example.com"  -> domain -> route, route ...   best first: proto set, longer path_beg, ssl set, file order
 *   wild   ".example.com" -> domain ("*.example.com")
 *   any                   -> domain ("*")
 *   ids    "my-route"     -> route
 *
 * It is built once and then constant. Its maker's reference and those of its routes keep it alive. */
#ifndef CONF_SNAPSHOT_H
#define CONF_SNAPSHOT_H

#include "conf/routes.h"

struct route_snapshot;

struct route_snapshot *snapshot_new(void);
/* ROUTE becomes the snapshot's; false, and it stays the caller's, when its condition is there already. */
bool snapshot_add(struct route_snapshot *s, struct route *route);
/* No more will be added. */
void snapshot_finish(struct route_snapshot *s);
void snapshot_ref(struct route_snapshot *s);
void snapshot_unref(struct route_snapshot *s);

unsigned snapshot_count(const struct route_snapshot *s);
/* By id, else by host and path; no reference is taken. */
struct route *snapshot_find(const struct route_snapshot *s, const struct route_query *q);
/* "routes by domain:" at debug level. */
void snapshot_log(const struct route_snapshot *s);

#endif

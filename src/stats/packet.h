/* packet.h - a stats message as the bytes of its one frame: "TYPE Ttnetstring" or "TYPE Jjson" (spec: stats 1). */
#ifndef STATS_PACKET_H
#define STATS_PACKET_H

#include "base/buf.h"

#include <jansson.h>

/* Strings hold any bytes; in JSON those that are no UTF-8 are replaced. */
json_t *packet_text(struct str s, bool json);
/* Append the frame. -1: nothing was added, FIELDS is too large. */
int packet_put(struct buf *b, const char *type, bool json, const json_t *fields);

#endif

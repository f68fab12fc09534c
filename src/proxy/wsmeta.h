/* wsmeta.h - the meta of a WebSocket, which its origin sets with control messages: names and values, for filters. */
#ifndef PROXY_WSMETA_H
#define PROXY_WSMETA_H

#include "base/str.h"

#include <jansson.h>

struct wsmeta;

enum { WSMETA_MAX = 64 }; /* names; further ones are ignored */

/* VALUE takes the place of what NAME had; ptr NULL: nothing does. *META is the list, NULL: empty. */
void wsmeta_set(struct wsmeta **meta, struct str name, struct str value);
/* ptr NULL: there is none of that name. */
struct str wsmeta_get(const struct wsmeta *meta, struct str name);
/* Add all to OUT, an object, but for what is not UTF-8. */
void wsmeta_put(const struct wsmeta *meta, json_t *out);
void wsmeta_clear(struct wsmeta **meta);

#endif

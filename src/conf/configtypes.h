/* configtypes.h - the texts of settings -> numbers, addresses, listeners, specs. Errors say what would be right, and
 * leave file, line and key to the caller. */
#ifndef CONF_CONFIGTYPES_H
#define CONF_CONFIGTYPES_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/config.h"

/* "false", "0" and "" are false in any case, all else is true. */
bool config_parse_bool(struct str text);
int config_parse_int(struct str text, int min, int max, int *out, struct err *e);
int config_parse_octal(struct str text, int *out, struct err *e);
/* "N" or "N,SERVICE:N": the highest level that a service gets. */
int config_parse_levels(struct str text, int *highest, struct err *e);
/* "PORT", "ADDR:PORT" or "[IPV6]:PORT". ADDR is an IP address; "0.0.0.0" when there is none. *ADDR is to be
 * mem_free()d. */
int config_parse_port(struct str text, char **addr, uint16_t *port, struct err *e);
/* "PATH[?mode=OCTAL&user=USER&group=GROUP]". config_listener_clear() in either case. */
int config_parse_socket(struct str text, struct config_listener *out, struct err *e);
void config_listener_clear(struct config_listener *l);
/* An IP address, "*", "" (127.0.0.1) or a host name, which is looked up now, waiting. *OUT is to be mem_free()d. */
int config_parse_address(struct str text, char **out, struct err *e);
/* A ZeroMQ endpoint; OFFSET is added to the port of each tcp://HOST:PORT in it. Appended to OUT. */
int config_parse_spec(struct str text, int offset, struct buf *out, struct err *e);

#endif

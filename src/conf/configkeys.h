/* configkeys.h - the table of the keys of pushpin.conf. */
#ifndef CONF_CONFIGKEYS_H
#define CONF_CONFIGKEYS_H

#include "conf/config.h"

/* What the member at the row's offset is, and how the value becomes that. */
enum key_type {
    KEY_TEXT,      /* char *; variables replaced, as in all texts below */
    KEY_BOOL,      /* bool */
    KEY_INT,       /* int from min to max; an empty value counts as absent */
    KEY_OCTAL,     /* int; -1 when empty */
    KEY_LIST,      /* struct config_list */
    KEY_SPEC,      /* char *; a ZeroMQ endpoint or "" */
    KEY_SPECS,     /* struct config_list of them */
    KEY_LEVELS,    /* int, the highest level */
    KEY_PORTS,     /* added to the listeners */
    KEY_TLS_PORTS, /* the same, with TLS */
    KEY_SOCKETS,   /* the same, Unix sockets */
    KEY_PROXIED,   /* marks those listeners */
    KEY_RANGES,    /* struct config_ranges */
    KEY_ADDRESS,   /* char *; an IP address */
    KEY_METRICS,   /* struct config_metrics, but for its prefix */
    KEY_XFP,       /* int, CONFIG_XFP_* */
    KEY_IS_JSON,   /* bool */
    KEY_ELSEWHERE, /* read by config.c on its own, before or instead */
    KEY_OLD        /* Pushpin's own affair: accepted, no effect */
};

enum key_when { AT_START, AT_RELOAD };

struct config_key {
    const char *section, *name;
    enum key_type type;
    enum key_when when;
    size_t offset;      /* into struct config */
    int min, max;       /* KEY_INT */
    const char *value;  /* as it would stand in the file: what counts when the key is absent */
    const char *sample; /* shipped as "#name=sample" when set, as "name=value" when NULL */
    const char *help;   /* NULL: not in the shipped file */
};

extern const struct config_key config_keys[];
extern const unsigned config_keys_n;

/* The row, or NULL. */
const struct config_key *config_key_find(const char *section, const char *name);
/* Is there any key in a section of that name? */
bool config_section_known(const char *section);

#endif

#include "conf/config.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/configfile.h"
#include "conf/configload.h"
#include "conf/configset.h"
#include "conf/configtypes.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#ifndef CONFIGDIR
#define CONFIGDIR "/etc/pushpin"
#endif

/* While a configuration is put together. */
struct loading {
    struct config *c;
    struct config_file main, include; /* empty when there is none */
    struct err *e;
};

int
config_options_check(const struct config_options *o, struct err *e)
{
    int level;
    char *addr;
    uint16_t port;
    if (o->log_level != NULL && config_parse_levels(str_c(o->log_level), &level, e) != 0)
        return -1;
    if (o->port != NULL) {
        if (config_parse_port(str_c(o->port), &addr, &port, NULL) != 0) {
            err_set(e, "port must be greater than or equal to 1");
            return -1;
        }
        mem_free(addr);
    }
    if (o->id > 65535 / 10) {
        err_set(e, "id must be less than or equal to %d", 65535 / 10);
        return -1;
    }
    return 0;
}

/* The last entry of that key: the main file goes before the one that it includes. *FILE (may be NULL): where it is. */
static struct config_entry *
find(struct loading *l, const char *section, const char *name, struct config_file **file)
{
    struct config_file *files[] = {&l->main, &l->include};
    for (size_t i = 0; i < countof(files); i++) {
        struct config_entry *entry = config_file_find(files[i], section, name);
        if (entry != NULL && file != NULL)
            *file = files[i];
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

/* Set the member of row K from the value of [SECTION] NAME, or to the row's default when that is absent. */
static int
set_from(struct loading *l, const struct config_key *k, enum key_type type, const char *section, const char *name)
{
    struct config_file *file = NULL;
    const struct config_entry *entry = find(l, section, name, &file);
    if (config_set(l->c, k, type, entry != NULL ? entry->raw : NULL, l->e) == 0)
        return 0;
    if (entry != NULL)
        err_prefix(l->e, "%s:%u: %s: ", file->path, entry->line, name);
    else
        err_prefix(l->e, "%s: ", name);
    return -1;
}

static int
set_row(struct loading *l, const struct config_key *k)
{
    return set_from(l, k, k->type, k->section, k->name);
}

/* Is there a value that is not empty? */
static bool
has_value(struct loading *l, const char *section, const char *name)
{
    const struct config_entry *entry = find(l, section, name, NULL);
    char *text = entry != NULL ? config_value_text(entry->raw, NULL) : NULL;
    bool any = text != NULL && *text != '\0';
    mem_free(text);
    return any || (entry != NULL && text == NULL); /* a value that is broken is reported later */
}

static int
set_rundir(struct loading *l)
{
    const struct config_key *k = config_key_find("global", "rundir");
    const char *section = "global";
    if (!has_value(l, "global", "rundir") && has_value(l, "runner", "rundir")) {
        log_warn("rundir in [runner] section is deprecated. put in [global]");
        section = "runner";
    }
    if (set_from(l, k, KEY_TEXT, section, "rundir") != 0)
        return -1;
    if (*l->c->rundir == '\0') {
        mem_free(l->c->rundir);
        l->c->rundir = mem_strdup(".");
    }
    return 0;
}

/* What can be said in the file, and we cannot do. */
static void
warn_unsupported(const struct config *c)
{
    if (*c->state_spec != '\0')
        log_warn("state_spec: sessions are not supported, it has no effect");
}

/* Each section's rows. [global] comes first: the other texts use its variables. */
static int
set_section(struct loading *l, const char *section, bool others)
{
    for (unsigned i = 0; i < config_keys_n; i++)
        if ((strcmp(config_keys[i].section, section) == 0) != others && set_row(l, &config_keys[i]) != 0)
            return -1;
    return 0;
}

static int
set_globals(struct loading *l, const struct config_options *o)
{
    if (set_section(l, "global", false) != 0 || set_rundir(l) != 0)
        return -1;
    if (o->id >= 0) {
        char text[32];
        snprintf(text, sizeof text, "p%d-", o->id);
        mem_free(l->c->ipc_prefix);
        l->c->ipc_prefix = mem_strdup(text);
        l->c->port_offset = o->id * 10;
    }
    return 0;
}

/* Which of them expect the PROXY protocol. */
static int
set_proxied(struct loading *l)
{
    const struct config_key *k = config_key_find("runner", "proxy_protocol_ports");
    if (set_from(l, k, KEY_PROXIED, k->section, k->name) != 0)
        return -1;
    for (unsigned i = 0; i < l->c->n_listeners; i++) {
        if (l->c->listeners[i].proxy_protocol && l->c->proxy_protocol_trusted.n == 0) {
            err_set(l->e,
                    "proxy_protocol_trusted: with proxy_protocol_ports it has to name the addresses of the proxies");
            return -1;
        }
    }
    return 0;
}

static int
set_listeners(struct loading *l, const struct config_options *o)
{
    bool others = has_value(l, "runner", "https_ports") || has_value(l, "runner", "local_ports");
    if ((find(l, "runner", "http_port", NULL) != NULL || !others) &&
        set_from(l, config_key_find("runner", "http_port"), KEY_PORTS, "runner", "http_port") != 0)
        return -1;
    if (set_proxied(l) != 0)
        return -1;
    if (o->port != NULL) {
        struct config_listener only = {.mode = -1};
        if (config_parse_port(str_c(o->port), &only.addr, &only.port, l->e) != 0)
            return -1;
        config_clear_listeners(l->c);
        config_add_listener(l->c, only);
    }
    if (l->c->n_listeners == 0) {
        err_set(l->e, "no server ports configured");
        return -1;
    }
    return 0;
}

/* The legacy singular form is appended; the default counts only without it. */
static int
set_sub_specs(struct loading *l)
{
    const struct config_key *k = config_key_find("handler", "push_in_sub_specs");
    struct config_list *specs = &l->c->push_in_sub_specs, first = {NULL, 0};
    bool legacy = find(l, "handler", "push_in_sub_spec", NULL) != NULL;
    if ((!legacy || find(l, "handler", "push_in_sub_specs", NULL) != NULL) &&
        set_from(l, k, KEY_SPECS, "handler", "push_in_sub_specs") != 0)
        return -1;
    if (!legacy)
        return 0;
    first = *specs;
    *specs = (struct config_list){NULL, 0};
    if (set_from(l, k, KEY_SPECS, "handler", "push_in_sub_spec") != 0) {
        config_list_clear(&first);
        return -1;
    }
    for (unsigned i = 0; i < specs->n; i++)
        config_list_add(&first, specs->at[i]);
    mem_free(specs->at);
    *specs = first;
    return 0;
}

/* PATH as seen from the configuration file's directory. */
static char *
beside(const struct config *c, const char *path)
{
    struct buf out = BUF_INIT(SIZE_MAX / 2);
    if (*path != '/' && strcmp(c->dir, ".") != 0)
        buf_addf(&out, "%s%s", c->dir, strcmp(c->dir, "/") == 0 ? "" : "/");
    buf_adds(&out, str_c(path));
    return buf_steal(&out);
}

/* What follows from several settings or from where the file is. */
static int
derive(struct loading *l, const struct config_options *o)
{
    struct config *c = l->c;
    char *routes = c->routesfile;
    c->routesfile = *routes != '\0' ? beside(c, routes) : NULL;
    mem_free(routes);
    if (*c->logdir == '\0') {
        mem_free(c->logdir);
        c->logdir = mem_strdup(".");
    }
    if (c->max_open_requests > c->client_maxconn)
        c->max_open_requests = c->client_maxconn;
    if (c->push_in_http_port > 0 && (c->push_in_http_port += c->port_offset) > 65535) {
        err_set(l->e, "push_in_http_port: with port_offset %d it is more than 65535", c->port_offset);
        return -1;
    }
    return o->log_level != NULL ? config_parse_levels(str_c(o->log_level), &c->log_level, l->e) : 0;
}

/* One line for each key that has no row and for each section without any. */
static void
report_unknown(const struct config_file *f)
{
    unsigned reported = 0; /* the line of a section */
    for (unsigned i = 0; i < f->n; i++) {
        const struct config_entry *entry = &f->at[i];
        const struct config_key *k = config_key_find(entry->section, entry->name);
        if (k != NULL && k->type == KEY_OLD)
            log_debug("%s:%u: %s in [%s] has no effect here", f->path, entry->line, k->name, k->section);
        else if (k != NULL)
            continue;
        else if (entry->section_line == 0)
            log_warn("%s:%u: unknown key %s before any [section]", f->path, entry->line, entry->name);
        else if (config_section_known(entry->section))
            log_warn("%s:%u: unknown key %s in [%s]", f->path, entry->line, entry->name, entry->section);
        else if (entry->section_line != reported)
            log_warn("%s:%u: unknown section [%s]", f->path, reported = entry->section_line, entry->section);
    }
}

/* Read the file that the main one includes; one that is missing is none. */
static int
read_include(struct loading *l)
{
    const struct config_entry *entry = config_file_find(&l->main, "global", "include");
    struct stat st;
    char *text, *path;
    FILE *stream;
    int rc = 0;
    if (entry == NULL || set_row(l, config_key_find("global", "libdir")) != 0)
        return entry == NULL ? 0 : -1;
    text = config_value_text(entry->raw, l->e);
    if (text == NULL || (text = config_expand(l->c, text, l->e)) == NULL) {
        err_prefix(l->e, "%s:%u: include: ", l->main.path, entry->line);
        return -1;
    }
    if (strcmp(text, "internal.conf") == 0) {
        mem_free(text);
        text = config_expand(l->c, mem_strdup("{libdir}/internal.conf"), NULL);
    }
    path = beside(l->c, text);
    mem_free(text);
    stream = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    if (stream != NULL) {
        rc = config_file_read(&l->include, path, stream, l->e);
        fclose(stream);
    }
    mem_free(path);
    return rc;
}

static int
fill(struct loading *l, const struct config_options *o)
{
    if (read_include(l) != 0)
        return -1;
    report_unknown(&l->main);
    report_unknown(&l->include);
    return set_globals(l, o) == 0 && set_section(l, "global", true) == 0 && set_listeners(l, o) == 0 &&
                   set_sub_specs(l) == 0 && derive(l, o) == 0
               ? 0
               : -1;
}

static char *
directory(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL)
        return mem_strdup(".");
    return str_dup(str_of(path, slash == path ? 1 : (size_t)(slash - path)));
}

struct config *
config_from(FILE *stream, const char *path, const struct config_options *options, struct err *e)
{
    struct config *c = mem_zalloc(sizeof *c);
    struct loading l = {.c = c, .e = e};
    int rc = 0;
    c->path = path != NULL ? mem_strdup(path) : NULL;
    c->dir = directory(path);
    if (stream != NULL)
        rc = config_file_read(&l.main, path, stream, e);
    if (rc == 0)
        rc = fill(&l, options);
    if (rc == 0)
        warn_unsupported(c);
    config_file_clear(&l.main);
    config_file_clear(&l.include);
    if (rc == 0)
        return c;
    config_free(c);
    return NULL;
}

static const char *const places[] = {"config/pushpin.conf", "pushpin.conf", "examples/config/pushpin.conf",
                                     CONFIGDIR "/pushpin.conf"};

/* The first of the usual places that has a regular file, or NULL. */
static const char *
search(void)
{
    struct stat st;
    for (size_t i = 0; i < countof(places); i++)
        if (stat(places[i], &st) == 0 && S_ISREG(st.st_mode))
            return places[i];
    return NULL;
}

static void
say_defaults(void)
{
    struct buf tried = BUF_INIT(4096);
    for (size_t i = 0; i < countof(places); i++)
        buf_addf(&tried, " %s", places[i]);
    log_info("no configuration file found, using defaults. Tried:%.*s", STR_ARG(buf_str(&tried)));
    buf_clear(&tried);
}

struct config *
config_load(const struct config_options *options, struct err *e)
{
    const char *path = options->config_file;
    struct config *c;
    FILE *stream = NULL;
    if (config_options_check(options, e) != 0)
        return NULL;
    if (path == NULL && (path = search()) != NULL)
        log_info("using config: %s", path);
    if (path == NULL)
        say_defaults();
    else if ((stream = fopen(path, "re")) == NULL) {
        err_set(e, "failed to open %s: %s", path, strerror(errno));
        return NULL;
    }
    c = config_from(stream, path, options, e);
    if (stream != NULL)
        fclose(stream);
    return c;
}

void
config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < config_keys_n; i++)
        config_unset(c, &config_keys[i]);
    config_clear_listeners(c);
    config_list_clear(&c->push_in_sub_specs);
    mem_free(c->rundir);
    mem_free(c->path);
    mem_free(c->dir);
    mem_free(c);
}

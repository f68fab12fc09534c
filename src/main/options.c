#include "main/options.h"

#include "base/mem.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: pushpind [options]\n"
                            "Reverse proxy for realtime web services.\n"
                            "\n"
                            "Options:\n"
                            "  --config <file>       Config file.\n"
                            "  --logfile <file>      File to log to, instead of stdout.\n"
                            "  --loglevel <x>        Log level (default: 2).\n"
                            "  --verbose             Verbose output. Same as --loglevel=3.\n"
                            "  -m, --merge-output    Accepted for compatibility: there is one output.\n"
                            "  --port <[addr:]port>  Run a single HTTP server instance.\n"
                            "  --id <x>              Set instance ID (needed to run multiple instances).\n"
                            "  --route <line>        Add route (overrides routes file). Repeatable.\n"
                            "  --check               Read configuration and routes, say what is wrong, and exit.\n"
                            "  -h, --help            Show this text.\n"
                            "  -v, --version         Show the version.\n"
                            "\n"
                            "SIGHUP reloads the routes and reopens the log file, SIGTERM and SIGINT stop.\n"
                            "See pushpind(8), pushpind.conf(5), routes(5).\n";

enum { OPT_CONFIG = 256, OPT_LOGFILE, OPT_LOGLEVEL, OPT_VERBOSE, OPT_PORT, OPT_ID, OPT_ROUTE, OPT_CHECK, OPT_HELP_ALL };

static const struct option table[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"logfile", required_argument, NULL, OPT_LOGFILE},
    {"loglevel", required_argument, NULL, OPT_LOGLEVEL},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"merge-output", no_argument, NULL, 'm'},
    {"port", required_argument, NULL, OPT_PORT},
    {"id", required_argument, NULL, OPT_ID},
    {"route", required_argument, NULL, OPT_ROUTE},
    {"check", no_argument, NULL, OPT_CHECK},
    {"help", no_argument, NULL, 'h'},
    {"help-all", no_argument, NULL, OPT_HELP_ALL},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

static enum options_result
bad(const char *what, const char *arg, const char *end)
{
    fprintf(stderr, "error: %s%s%s\n\n%s", what, arg, end, usage);
    return OPTIONS_BAD;
}

static int
parse_id(const char *text)
{
    uint64_t n;
    if (str_u64(str_c(text), &n) != 0)
        return -1;
    return n < INT_MAX ? (int)n : INT_MAX; /* config_options_check() knows the most */
}

void
options_add_route(struct options *o, const char *line)
{
    o->routes = mem_realloc(o->routes, (o->n_routes + 1) * sizeof(char *));
    o->routes[o->n_routes++] = line;
}

/* An option that is none, or lacks its value, or has one that it does not take: then getopt() says which it is. */
static enum options_result
unknown(char **argv, bool missing)
{
    char *arg = argv[optind - 1], *value = strchr(arg, '=');
    if (missing)
        return bad("Missing value after '", arg, "'.");
    if (value != NULL)
        *value = '\0';
    if (value != NULL && optopt != 0)
        return bad("Unexpected value after '", arg, "'.");
    return bad("Unknown option '", arg + strspn(arg, "-"), "'.");
}

enum options_result
options_parse(int argc, char **argv, struct options *o)
{
    struct err e;
    int c;
    *o = (struct options){.config = {.id = -1}};
    opterr = 0;
    while ((c = getopt_long_only(argc, argv, ":mhv", table, NULL)) != -1) {
        switch (c) {
        case OPT_CONFIG:
            o->config.config_file = optarg;
            break;
        case OPT_LOGFILE:
            o->logfile = optarg;
            break;
        case OPT_LOGLEVEL:
            o->config.log_level = optarg;
            break;
        case OPT_VERBOSE:
            o->config.log_level = "3";
            break;
        case OPT_PORT:
            o->config.port = optarg;
            break;
        case OPT_ID:
            o->config.id = parse_id(optarg);
            if (o->config.id < 0)
                return bad("id must be greater than or equal to 0", "", "");
            break;
        case OPT_ROUTE:
            options_add_route(o, optarg);
            break;
        case OPT_CHECK:
            o->check = true;
            break;
        case 'm':
            break;
        case 'h':
        case OPT_HELP_ALL:
            fputs(usage, stdout);
            return OPTIONS_DONE;
        case 'v':
            puts("pushpind " VERSION);
            return OPTIONS_DONE;
        default:
            return unknown(argv, c == ':');
        }
    }
    if (optind < argc) /* as in Pushpin, but who types it should know */
        fprintf(stderr, "warning: argument '%s' is ignored\n", argv[optind]);
    if (config_options_check(&o->config, &e) != 0)
        return bad(e.text, "", "");
    return OPTIONS_RUN;
}

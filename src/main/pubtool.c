#include "main/pubtool.h"

#include "base/mem.h"

#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_SPEC "http://localhost:5561"

enum { EXIT_USAGE = 2, MAX_TIMEOUT = 86400 };

enum kind { TEXT, LIST, FLAG, SECONDS, ACTION };

/* The options: one row each for getopt, for what is done and for the help text. */
static const struct row {
    int letter; /* of the short form; 0: none */
    enum kind kind;
    size_t at; /* offset in struct pubtool of what is set */
    const char *name, *value, *help;
} rows[] = {
    {0, TEXT, offsetof(struct pubtool, id), "id", "id", "Payload ID"},
    {0, TEXT, offsetof(struct pubtool, prev_id), "prev-id", "id", "Previous payload ID"},
    {0, TEXT, offsetof(struct pubtool, sender), "sender", "sender", "Sender meta value"},
    {0, TEXT, offsetof(struct pubtool, code), "code", "code", "HTTP response code to use [default: 200]"},
    {'H', LIST, offsetof(struct pubtool, headers), "header", "\"K: V\"", "Add HTTP response header (repeatable)"},
    {'M', LIST, offsetof(struct pubtool, meta), "meta", "\"K=V\"", "Add meta variable (repeatable)"},
    {0, FLAG, offsetof(struct pubtool, hint), "hint", NULL, "Send hint instead of content"},
    {0, FLAG, offsetof(struct pubtool, close), "close", NULL, "Close streaming and WebSocket connections"},
    {0, FLAG, offsetof(struct pubtool, patch), "patch", NULL, "Content is JSON patch"},
    {0, FLAG, offsetof(struct pubtool, no_seq), "no-seq", NULL, "Bypass sequencing buffer"},
    {0, FLAG, offsetof(struct pubtool, no_eol), "no-eol", NULL, "Don't add newline to HTTP payloads"},
    {0, TEXT, offsetof(struct pubtool, spec), "spec", "spec",
     "GRIP URL or ZeroMQ PUSH spec [default: $GRIP_URL or " DEFAULT_SPEC "]"},
    {'u', TEXT, offsetof(struct pubtool, user), "user", "user:pass", "Basic authentication (https only)"},
    {'B', TEXT, offsetof(struct pubtool, bearer), "bearer", "token", "Bearer authentication (https only)"},
    {0, TEXT, offsetof(struct pubtool, token), "token", "token", "Token of the control port [default: $PUSHPIN_TOKEN]"},
    {0, SECONDS, offsetof(struct pubtool, timeout), "timeout", "seconds", "Give up then [default: 30, ZeroMQ: 5]"},
    {'h', ACTION, 0, "help", NULL, "Print help information"},
    {'V', ACTION, 0, "version", NULL, "Print version information"},
};

enum { FIRST_LONG = 256 }; /* what getopt calls rows[0]; no letter has such a number */

static _Noreturn void
print_help(void)
{
    fputs("pushpin-publish " VERSION "\n"
          "Publish messages to pushpind\n\n"
          "USAGE:\n"
          "    pushpin-publish [OPTIONS] <channel> [content]\n\n"
          "ARGS:\n"
          "    <channel>    Channel to send to\n"
          "    <content>    Content to use for HTTP body and WebSocket message; @FILE sends a file's bytes\n\n"
          "OPTIONS:\n",
          stdout);
    for (const struct row *r = rows; r < rows + countof(rows); r++) {
        char left[64];
        snprintf(left, sizeof left, r->value != NULL ? "%s <%s>" : "%s", r->name, r->value);
        printf("    %c%c%c --%-22s%s\n", r->letter != 0 ? '-' : ' ', r->letter != 0 ? r->letter : ' ',
               r->letter != 0 ? ',' : ' ', left, r->help);
    }
    exit(EXIT_SUCCESS);
}

static _Noreturn void
usage_error(const char *why)
{
    if (why != NULL)
        fprintf(stderr, "error: %s\n", why);
    fputs("\nUSAGE:\n    pushpin-publish [OPTIONS] <channel> [content]\n\n"
          "For more information try --help\n",
          stderr);
    exit(EXIT_USAGE);
}

static void
add(const char **list, const char *value)
{
    while (*list != NULL)
        list++;
    *list = value;
}

static uint64_t
read_timeout(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(seconds >= 0.001) || seconds > MAX_TIMEOUT)
        usage_error("--timeout wants a number of seconds greater than 0");
    return (uint64_t)(seconds * 1000 + 0.5);
}

static void
take_option(struct pubtool *p, const struct row *r, const char *value)
{
    void *at = (char *)p + r->at;
    switch (r->kind) {
    case TEXT:
        *(const char **)at = value;
        break;
    case LIST:
        add(*(const char ***)at, value);
        break;
    case FLAG:
        *(bool *)at = true;
        break;
    case SECONDS:
        *(uint64_t *)at = read_timeout(value);
        break;
    case ACTION:
        if (r->letter == 'h')
            print_help();
        puts("pushpin-publish " VERSION);
        exit(EXIT_SUCCESS);
    }
}

/* getopt's view of the rows: every long option returns FIRST_LONG and its index. */
static void
fill_getopt(struct option *longs, char *letters)
{
    for (size_t i = 0; i < countof(rows); i++) {
        int has_arg = rows[i].value != NULL ? required_argument : no_argument;
        longs[i] = (struct option){rows[i].name, has_arg, NULL, FIRST_LONG + (int)i};
        if (rows[i].letter != 0)
            *letters++ = (char)rows[i].letter;
        if (rows[i].letter != 0 && rows[i].value != NULL)
            *letters++ = ':';
    }
    longs[countof(rows)] = (struct option){NULL, 0, NULL, 0};
    *letters = '\0';
}

static const struct row *
find_row(int option)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (option == FIRST_LONG + (int)i || option == rows[i].letter)
            return &rows[i];
    return NULL;
}

static void
read_arguments(struct pubtool *p, int argc, char **argv)
{
    struct option longs[countof(rows) + 1];
    char letters[2 * countof(rows) + 1];
    int option;
    fill_getopt(longs, letters);
    while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct row *r = find_row(option);
        if (r == NULL) /* getopt has said why */
            usage_error(NULL);
        take_option(p, r, optarg);
    }
    if (optind == argc)
        usage_error("the argument <channel> is missing");
    p->channel = argv[optind++];
    if (optind < argc)
        p->content = argv[optind++];
    if (optind < argc)
        usage_error("too many arguments");
}

static int
publish(const struct pubtool *p, struct refusal *why)
{
    bool http = pubtool_is_http(p->spec);
    json_t *item;
    int rc;
    if ((p->user != NULL) + (p->bearer != NULL) + (p->token != NULL) > 1) {
        err_set(&why->e, "only one authentication method can be specified");
        return -1;
    }
    item = pubtool_item(p, !http, &why->e);
    if (item == NULL)
        return -1;
    rc = http ? pubtool_http(p, item, why) : pubtool_zmq(p, item, &why->e);
    json_decref(item);
    return rc;
}

/* The words come from a server at times: they must not play with the terminal. */
static void
print_error(const struct refusal *why)
{
    struct str s = buf_str(&why->text);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL)
        s = str_from(s, 1);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL)
        s.len--;
    if (s.len == 0)
        s = str_c(why->e.text);
    fputs("Error: ", stderr);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        putc((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c, stderr);
    }
    putc('\n', stderr);
}

int
main(int argc, char **argv)
{
    const char *grip_url = getenv("GRIP_URL");
    const char *token = getenv("PUSHPIN_TOKEN");
    struct pubtool p = {.id = "", .prev_id = "", .sender = "", .code = "200"};
    struct refusal why = {{""}, BUF_INIT(65536)};
    int rc;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    p.spec = grip_url != NULL && grip_url[0] != '\0' ? grip_url : DEFAULT_SPEC;
    p.env_token = token != NULL && token[0] != '\0' ? token : NULL;
    p.headers = mem_zalloc(((size_t)argc + 1) * sizeof *p.headers);
    p.meta = mem_zalloc(((size_t)argc + 1) * sizeof *p.meta);
    read_arguments(&p, argc, argv);
    rc = publish(&p, &why);
    if (rc == 0)
        puts("Published");
    else
        print_error(&why);
    buf_clear(&why.text);
    mem_free(p.headers);
    mem_free(p.meta);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

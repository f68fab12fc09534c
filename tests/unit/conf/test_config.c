#include "test.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/config.h"
#include "conf/configkeys.h"
#include "conf/configload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct config_options no_options = {.id = -1};
static struct err e;
static char log_path[] = "/tmp/test_config_XXXXXX";

static struct config *
parse_as(const char *path, const char *text, const struct config_options *o)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    struct config *c = config_from(f, path, o, &e);
    fclose(f);
    return c;
}

static struct config *
parse(const char *text)
{
    return parse_as("dir/p.conf", text, &no_options);
}

static void
expect_error(const char *text, const char *want)
{
    struct config *c = parse(text);
    CHECK(c == NULL);
    CHECK_STR(str_c(e.text), want);
}

/* What has been logged since the last time; the caller frees it. */
static char *
logged(void)
{
    static char text[65536];
    FILE *f = fopen(log_path, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    CHECK_INT(truncate(log_path, 0), 0);
    return text;
}

static void
check_listener(const struct config *c, unsigned i, const char *addr, unsigned port, bool tls)
{
    CHECK(i < c->n_listeners);
    CHECK_STR(str_c(c->listeners[i].addr), addr);
    CHECK_INT(c->listeners[i].port, port);
    CHECK_INT(c->listeners[i].tls, tls);
}

TEST(defaults_are_the_shipped_values)
{
    struct config *c = config_from(NULL, NULL, &no_options, &e);
    CHECK(c != NULL);
    CHECK_STR(str_c(c->dir), ".");
    CHECK(c->path == NULL);
    CHECK_INT(c->n_listeners, 1);
    check_listener(c, 0, "0.0.0.0", 7999, false);
    CHECK_STR(str_c(c->routesfile), "routes");
    CHECK_STR(str_c(c->rundir), "run");
    CHECK_STR(str_c(c->logdir), "log");
    CHECK_STR(str_c(c->stats_spec), "ipc://run/pushpin-stats");
    CHECK_STR(str_c(c->state_spec), "");
    CHECK_STR(str_c(c->push_in_spec), "tcp://127.0.0.1:5560");
    CHECK_INT(c->push_in_sub_specs.n, 1);
    CHECK_STR(str_c(c->push_in_http_addr), "127.0.0.1");
    CHECK_INT(c->push_in_http_port, 5561);
    CHECK_INT(c->message_rate, 0);
    CHECK_INT(c->message_hwm, 25000);
    CHECK_INT(c->ipc_file_mode, -1);
    CHECK_INT(c->set_x_forwarded_protocol, CONFIG_XFP_PROTO_ONLY);
    CHECK_INT(c->log_level, 2);
    CHECK_INT(c->client_idle_timeout, 60);
    CHECK_INT(c->activity_timeout, 1800);
    CHECK_INT(c->origin_connect_timeout, 10);
    CHECK_INT(c->connection_queue_max, 1000000);
    CHECK(c->stats_connection_send && c->update_on_first_subscription && !c->stats_json && !c->share_all);
    CHECK(c->metrics.addr == NULL && c->proxy_metrics.addr == NULL);
    CHECK_STR(str_c(c->sig_key), "changeme");
    config_free(c);
}

TEST(values_are_quoted_escaped_trimmed_and_commented)
{
    static const struct {
        const char *raw, *want;
    } rows[] = {
        {"plain", "plain"},     {"  two words  ", "two words"},
        {"a # b", "a # b"},     {"a;b", "a"},
        {"a ; b", "a"},         {"\"a;b\" ; c", "a;b"},
        {"\"  x  \"", "  x  "}, {"\" x\" y ", " x y"},
        {"a,b", "a,b"},         {"a\\nb\\tc\\\\d\\\"e", "a\nb\tc\\d\"e"},
        {"\"q\\\"q\"", "q\"q"}, {"\\x41\\x7a!", "Az!"},
        {"\\xe9", "\xc3\xa9"},  {"\\q", "\\q"},
        {"\\x0g", "g"},         {"end\\", "end\\"},
        {"\"\"", ""},           {"", ""},
        {"a=b:c", "a=b:c"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char text[200];
        struct config *c;
        snprintf(text, sizeof text, "[proxy]\r\n  sig_iss = %s\r\n", rows[i].raw);
        c = parse(text);
        CHECK(c != NULL);
        CHECK_STR(str_c(c->sig_iss), rows[i].want);
        config_free(c);
    }
}

TEST(lists_split_at_unquoted_commas)
{
    struct config *c = parse("[proxy]\norig_headers_need_mark = a, \"b,c\" ,, d e ,\"\" ; f\n");
    CHECK(c != NULL);
    CHECK_INT(c->orig_headers_need_mark.n, 3);
    CHECK_STR(str_c(c->orig_headers_need_mark.at[0]), "a");
    CHECK_STR(str_c(c->orig_headers_need_mark.at[1]), "b,c");
    CHECK_STR(str_c(c->orig_headers_need_mark.at[2]), "d e");
    config_free(c);
}

TEST(last_value_wins_and_sections_repeat)
{
    struct config *c =
        parse("\xef\xbb\xbf# first\n[proxy]\nsig_iss=a\nsig_iss=b\n[handler]\nmessage_rate=7\n[ proxy ]\n"
              ";x\nsig_iss=c\ndebug=TRUE\nlog_from=False\nlog_user_agent=0\nauto_cross_origin=\n");
    CHECK(c != NULL);
    CHECK_STR(str_c(c->sig_iss), "c");
    CHECK_INT(c->message_rate, 7);
    CHECK(c->debug && !c->log_from && !c->log_user_agent && !c->auto_cross_origin);
    config_free(c);
}

TEST(long_lines_are_read_and_too_long_ones_refused)
{
    char *text = mem_alloc(70000);
    struct config *c;
    size_t n = (size_t)sprintf(text, "[proxy]\nsig_key=");
    memset(text + n, 'k', 60000);
    text[n + 60000] = '\0';
    c = parse(text);
    CHECK(c != NULL);
    CHECK_INT(strlen(c->sig_key), 60000);
    config_free(c);
    memset(text + n, 'k', 66000);
    text[n + 66000] = '\0';
    expect_error(text, "dir/p.conf:2: line is longer than 65536 bytes");
    mem_free(text);
}

TEST(words_of_a_few_keys)
{
    struct config *c = parse("[proxy]\nset_x_forwarded_protocol=true\nx_forwarded_for=truncate:0, append\n[handler]\n"
                             "stats_format=json # x\nipc_file_mode=660\nprometheus_port=9000\n[runner]\n"
                             "log_level=1,proxy:3,handler:0\n");
    CHECK(c != NULL);
    CHECK_INT(c->set_x_forwarded_protocol, CONFIG_XFP_BOTH);
    CHECK_INT(c->x_forwarded_for.n, 2);
    CHECK(!c->stats_json);
    CHECK_INT(c->ipc_file_mode, 0660);
    CHECK_STR(str_c(c->metrics.addr), "0.0.0.0");
    CHECK_INT(c->metrics.port, 9000);
    CHECK_INT(c->log_level, 3);
    config_free(c);
    c = parse(
        "[handler]\nprometheus_port=ipc://{rundir}/prom\nstats_format=json\nmessage_wait=\nstate_spec=inproc://x\n"
        "push_in_spec=\n");
    CHECK(c != NULL);
    CHECK_STR(str_c(c->metrics.addr), "ipc://run/prom");
    CHECK(c->stats_json);
    CHECK_INT(c->message_wait, 5000);
    CHECK_STR(str_c(c->push_in_spec), "");
    config_free(c);
}

TEST(listeners_of_all_kinds)
{
    struct config *c = parse("[runner]\nhttp_port=80, 127.0.0.1:81,[::1]:82\nhttps_ports=443\n"
                             "local_ports={rundir}/a?mode=660&user=u&group=g, /b\n");
    CHECK(c != NULL);
    CHECK_INT(c->n_listeners, 6);
    for (unsigned i = 0; i < 6; i++)
        CHECK((c->listeners[i].addr == NULL) == (c->listeners[i].path != NULL));
    config_free(c);
    c = parse("[runner]\nlocal_ports={rundir}/a?mode=660&user=u&group=g,/b\n");
    CHECK(c != NULL);
    CHECK_INT(c->n_listeners, 2);
    CHECK_STR(str_c(c->listeners[0].path), "run/a");
    CHECK_INT(c->listeners[0].mode, 0660);
    CHECK_STR(str_c(c->listeners[0].user), "u");
    CHECK_STR(str_c(c->listeners[0].group), "g");
    CHECK_INT(c->listeners[1].mode, -1);
    config_free(c);
    c = parse("[runner]\nhttps_ports=[::]:8443\nhttp_port=\n");
    CHECK(c != NULL);
    CHECK_INT(c->n_listeners, 1);
    check_listener(c, 0, "::", 8443, true);
    config_free(c);
    c = parse("[runner]\nhttps_ports=\n");
    CHECK(c != NULL);
    check_listener(c, 0, "0.0.0.0", 7999, false);
    config_free(c);
}

TEST(ports_behind_a_proxy)
{
    struct config *c = parse("[runner]\nhttp_port=80,127.0.0.1:81,[::1]:81\nhttps_ports=443\nlocal_ports=/a\n"
                             "proxy_protocol_ports=443,[::1]:81\nproxy_protocol_trusted=10.0.0.0/8, ::1\n");
    CHECK(c != NULL);
    CHECK_INT(c->n_listeners, 5);
    for (unsigned i = 0; i < 5; i++) {
        const struct config_listener *l = &c->listeners[i];
        bool expected = l->tls || (l->addr != NULL && strcmp(l->addr, "::1") == 0);
        CHECK_INT(l->proxy_protocol, expected);
    }
    CHECK_INT(c->proxy_protocol_trusted.n, 2);
    CHECK_INT(c->proxy_protocol_trusted.at[0].bits, 96 + 8);
    CHECK_INT(c->proxy_protocol_trusted.at[1].bits, 128);
    config_free(c);
    c = parse("[runner]\nhttp_port=127.0.0.1:81,[::1]:81\nproxy_protocol_ports=81\nproxy_protocol_trusted=::/0\n");
    CHECK(c != NULL);
    CHECK(c->listeners[0].proxy_protocol && c->listeners[1].proxy_protocol);
    config_free(c);
}

TEST(variables_and_the_port_offset)
{
    struct config *c =
        parse("[global]\nport_offset=100\nrundir=/r\nipc_prefix=x-\nlibdir=/l\n[handler]\n"
              "push_in_spec=tcp://*:5560\npush_in_sub_specs=tcp://[::1]:1;tcp://h:2,ipc://{rundir}/{y}\n"
              "command_spec=tcp://127.0.0.1:*\nprometheus_port=9000\n[runner]\nlogdir={libdir}{rundir}\n");
    CHECK(c != NULL);
    CHECK_STR(str_c(c->push_in_spec), "tcp://*:5660");
    CHECK_INT(c->push_in_sub_specs.n, 1); /* a ';' begins a comment */
    CHECK_STR(str_c(c->push_in_sub_specs.at[0]), "tcp://[::1]:101");
    CHECK_STR(str_c(c->command_spec), "tcp://127.0.0.1:*");
    CHECK_STR(str_c(c->stats_spec), "ipc:///r/x-stats");
    CHECK_STR(str_c(c->logdir), "/l/r");
    CHECK_INT(c->push_in_http_port, 5661);
    CHECK_INT(c->metrics.port, 9000);
    check_listener(c, 0, "0.0.0.0", 7999, false);
    config_free(c);
    c = parse("[global]\nport_offset=3\n[handler]\npush_in_sub_specs=\"tcp://a:1;tcp://b:2/x\",ipc://{rundir}/{y}\n"
              "push_in_sub_spec=tcp://c:3\npush_in_http_port=0\n");
    CHECK(c != NULL);
    CHECK_INT(c->push_in_sub_specs.n, 3);
    CHECK_STR(str_c(c->push_in_sub_specs.at[0]), "tcp://a:4;tcp://b:5/x");
    CHECK_STR(str_c(c->push_in_sub_specs.at[1]), "ipc://run/{y}");
    CHECK_STR(str_c(c->push_in_sub_specs.at[2]), "tcp://c:6");
    CHECK_INT(c->push_in_http_port, 0);
    config_free(c);
    c = parse("[handler]\npush_in_sub_spec=tcp://c:3\n");
    CHECK(c != NULL);
    CHECK_INT(c->push_in_sub_specs.n, 1);
    CHECK_STR(str_c(c->push_in_sub_specs.at[0]), "tcp://c:3");
    config_free(c);
}

TEST(open_requests_are_capped_at_the_connections)
{
    struct config *c = parse("[runner]\nclient_maxconn=10\n[proxy]\nmax_open_requests=11\n");
    CHECK(c != NULL);
    CHECK_INT(c->max_open_requests, 10);
    config_free(c);
}

TEST(control_address)
{
    static const struct {
        const char *value, *want;
    } rows[] = {{"", "127.0.0.1"}, {"localhost", "127.0.0.1"}, {"*", "0.0.0.0"},
                {"::", "::"},      {"[::1]", "::1"},           {"10.0.0.1", "10.0.0.1"}};
    for (size_t i = 0; i < countof(rows); i++) {
        char text[100];
        struct config *c;
        snprintf(text, sizeof text, "[handler]\npush_in_http_addr=%s\n", rows[i].value);
        c = parse(text);
        CHECK(c != NULL);
        CHECK_STR(str_c(c->push_in_http_addr), rows[i].want);
        config_free(c);
    }
}

TEST(errors_name_file_line_key_and_what_would_be_right)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"[runner]\n\nhttp_port=abc\n", "dir/p.conf:3: http_port: 'abc' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttp_port=0\n", "dir/p.conf:2: http_port: '0' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttp_port=1,::1:80\n", "dir/p.conf:2: http_port: '::1:80' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttps_ports=[::1]\n", "dir/p.conf:2: https_ports: '[::1]' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttp_port=65536\n", "dir/p.conf:2: http_port: '65536' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttp_port=\n", "no server ports configured"},
        {"[runner]\nhttp_port=80\nproxy_protocol_ports=81\nproxy_protocol_trusted=::1\n",
         "dir/p.conf:3: proxy_protocol_ports: '81' is none of http_port and https_ports"},
        {"[runner]\nhttp_port=80\nproxy_protocol_ports=a\n",
         "dir/p.conf:3: proxy_protocol_ports: 'a' is not a port, ADDR:PORT or [IPV6]:PORT"},
        {"[runner]\nhttp_port=80\nproxy_protocol_ports=80\n",
         "proxy_protocol_trusted: with proxy_protocol_ports it has to name the addresses of the proxies"},
        {"[runner]\nproxy_protocol_trusted=10.0.0.1,10.0.0.0/33\n",
         "dir/p.conf:2: proxy_protocol_trusted: '10.0.0.0/33' is not an IP address or ADDR/BITS"},
        {"[runner]\nlocal_ports=/a?mode=9\n", "dir/p.conf:2: local_ports: '9' is not octal permissions such as 660"},
        {"[runner]\nlocal_ports=/a?mod=9\n",
         "dir/p.conf:2: local_ports: 'mod=9' is none of mode=OCTAL, user=USER and group=GROUP"},
        {"[runner]\nclient_buffer_size=255\n",
         "dir/p.conf:2: client_buffer_size: '255' is not an integer from 256 to 1048576"},
        {"[handler]\nmessage_wait=soon\n", "dir/p.conf:2: message_wait: 'soon' is not an integer"},
        {"[handler]\nmessage_wait=5 s\n", "dir/p.conf:2: message_wait: '5 s' is not an integer"},
        {"[handler]\nconnection_subscription_max=-1\n",
         "dir/p.conf:2: connection_subscription_max: '-1' is less than 0"},
        {"[handler]\nipc_file_mode=rw\n", "dir/p.conf:2: ipc_file_mode: 'rw' is not octal permissions such as 660"},
        {"[handler]\npush_in_spec=5560\n",
         "dir/p.conf:2: push_in_spec: '5560' is not a spec such as tcp://127.0.0.1:5560 or ipc:///path"},
        {"[handler]\npush_in_spec=tcp://x\n", "dir/p.conf:2: push_in_spec: 'tcp://x' is not tcp://HOST:PORT with a "
                                              "port, port_offset 0 added, of at most 65535"},
        {"[global]\nport_offset=60000\n[handler]\npush_in_spec=tcp://*:6000\n",
         "dir/p.conf:4: push_in_spec: 'tcp://*:6000' is not tcp://HOST:PORT with a port, port_offset 60000 added, of "
         "at "
         "most 65535"},
        {"[handler]\nprometheus_port=x\n",
         "dir/p.conf:2: prometheus_port: 'x' is not a port, ADDR:PORT, [IPV6]:PORT or ipc://PATH"},
        {"[proxy]\nsig_key=\"a\n", "dir/p.conf:2: sig_key: a closing \" is missing"},
        {"[runner]\nlog_level=x\n", "dir/p.conf:2: log_level: log level must be greater than or equal to 0"},
        {"[proxy\ndebug=1\n", "dir/p.conf:1: expected [section] or key=value"},
        {"[proxy]\ndebug\n", "dir/p.conf:2: expected [section] or key=value"},
        {"[proxy]\ndebug: 1\n", "dir/p.conf:2: expected [section] or key=value"},
        {"[proxy]\n=1\n", "dir/p.conf:2: expected [section] or key=value"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        expect_error(rows[i].text, rows[i].want);
}

TEST(unknown_keys_and_sections_are_warned_about_once)
{
    struct config *c;
    char *log;
    log_set_level(LOG_DEBUG);
    logged();
    c = parse("top=1\n[proxy]\nno_such_key=1\nDebug=1\nworkers=3\na:b ;c=1\n[Proxy]\nx=1\ny=1\n"
              "[runner]\nservices=proxy\n");
    CHECK(c != NULL);
    config_free(c);
    log = logged();
    CHECK(strstr(log, "dir/p.conf:1: unknown key top before any [section]\n") != NULL);
    CHECK(strstr(log, "dir/p.conf:3: unknown key no_such_key in [proxy]\n") != NULL);
    CHECK(strstr(log, "dir/p.conf:4: unknown key Debug in [proxy]\n") != NULL);
    CHECK(strstr(log, "dir/p.conf:5: workers in [proxy] has no effect here\n") != NULL);
    CHECK(strstr(log, "dir/p.conf:6: unknown key a:b ;c in [proxy]\n") != NULL);
    CHECK(strstr(log, "dir/p.conf:7: unknown section [Proxy]\n") != NULL);
    CHECK(strstr(log, " x") == NULL && strstr(log, " y") == NULL);
    log_set_level(LOG_INFO);
}

TEST(legacy_rundir_counts_with_a_warning)
{
    struct config *c;
    logged();
    c = parse("[runner]\nrundir=/old\n");
    CHECK_STR(str_c(c->rundir), "/old");
    config_free(c);
    CHECK(strstr(logged(), "[WARN]") != NULL);
    c = parse("[global]\nrundir=/new\n[runner]\nrundir=/old\n");
    CHECK_STR(str_c(c->rundir), "/new");
    config_free(c);
    CHECK_STR(str_c(logged()), "");
}

TEST(options_win_over_the_file)
{
    const struct config_options o = {.log_level = "0,proxy:1", .port = "[::1]:99", .id = 7};
    struct config *c = parse_as("/etc/x/p.conf",
                                "[global]\nport_offset=1\nipc_prefix=q-\n[runner]\nhttp_port=80\nhttps_ports=443\n"
                                "log_level=3\n[proxy]\nroutesfile=other/routes\n",
                                &o);
    CHECK(c != NULL);
    CHECK_INT(c->n_listeners, 1);
    check_listener(c, 0, "::1", 99, false);
    CHECK_STR(str_c(c->ipc_prefix), "p7-");
    CHECK_INT(c->port_offset, 70);
    CHECK_STR(str_c(c->command_spec), "tcp://127.0.0.1:5633");
    CHECK_INT(c->log_level, 1);
    CHECK_STR(str_c(c->routesfile), "/etc/x/other/routes");
    config_free(c);
}

TEST(bad_options_are_refused_in_the_words_of_pushpin)
{
    static const struct {
        const char *level, *port, *want;
    } rows[] = {
        {"-1", NULL, "log level must be greater than or equal to 0"},
        {"x", NULL, "log level must be greater than or equal to 0"},
        {"2,", NULL, "log level component cannot be empty"},
        {"", NULL, "log level component cannot be empty"},
        {"2,:3", NULL, "log level component name cannot be empty"},
        {"2,proxy:x", NULL, "log level for service proxy must be greater than or equal to 0"},
        {NULL, "0", "port must be greater than or equal to 1"},
        {NULL, "abc", "port must be greater than or equal to 1"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct config_options o = {.log_level = rows[i].level, .port = rows[i].port, .id = -1};
        CHECK_INT(config_options_check(&o, &e), -1);
        CHECK_STR(str_c(e.text), rows[i].want);
        CHECK(config_load(&o, &e) == NULL);
        CHECK_STR(str_c(e.text), rows[i].want);
    }
}

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

TEST(without_a_file_there_are_the_defaults)
{
    char dir[] = "/tmp/test_config_dir_XXXXXX", back[4096];
    struct config *c;
    if (access("/etc/pushpin/pushpin.conf", F_OK) == 0)
        return; /* here is one */
    CHECK(mkdtemp(dir) != NULL && getcwd(back, sizeof back) != NULL);
    CHECK_INT(chdir(dir), 0);
    c = config_load(&no_options, &e);
    CHECK(c != NULL);
    config_free(c);
    CHECK_INT(chdir(back) | rmdir(dir), 0);
}

TEST(file_is_found_and_its_include_fills_gaps)
{
    char dir[] = "/tmp/test_config_dir_XXXXXX", back[4096];
    struct config *c;
    char *log;
    CHECK(mkdtemp(dir) != NULL && getcwd(back, sizeof back) != NULL);
    CHECK_INT(chdir(dir), 0);
    logged();
    write_file("pushpin.conf", "[global]\ninclude=internal.conf\nlibdir=lib\n[proxy]\nsig_iss=main\n");
    CHECK_INT(mkdir("lib", 0700) | mkdir("config", 0700), 0);
    write_file("lib/internal.conf", "[proxy]\nsig_iss=inc\nsig_key=inc\noops=1\n");
    c = config_load(&no_options, &e);
    CHECK(c != NULL);
    CHECK_STR(str_c(c->path), "pushpin.conf");
    CHECK_STR(str_c(c->sig_iss), "main");
    CHECK_STR(str_c(c->sig_key), "inc");
    config_free(c);
    log = logged();
    CHECK(strstr(log, "using config: pushpin.conf\n") != NULL);
    CHECK(strstr(log, "lib/internal.conf:4: unknown key oops in [proxy]\n") != NULL);

    write_file("config/pushpin.conf", "[global]\ninclude={libdir}/none.conf\n[runner]\nhttp_port=x\n");
    CHECK(config_load(&no_options, &e) == NULL);
    CHECK_STR(str_c(e.text), "config/pushpin.conf:4: http_port: 'x' is not a port, ADDR:PORT or [IPV6]:PORT");
    c = config_load(&(struct config_options){.config_file = "pushpin.conf", .id = -1}, &e);
    CHECK(c != NULL);
    config_free(c);
    CHECK(config_load(&(struct config_options){.config_file = "none", .id = -1}, &e) == NULL);
    CHECK_STR(str_c(e.text), "failed to open none: No such file or directory");
    CHECK(config_load(&(struct config_options){.config_file = "lib", .id = -1}, &e) == NULL);
    CHECK_STR(str_c(e.text), "failed to open lib: Is a directory");
    CHECK_INT(unlink("pushpin.conf") | unlink("config/pushpin.conf") | unlink("lib/internal.conf") | rmdir("lib") |
                  rmdir("config") | chdir(back) | rmdir(dir),
              0);
}

struct shipped {
    FILE *f;
    bool same;
};

static void
compare(const char *line, void *arg)
{
    struct shipped *s = arg;
    char got[1024] = "";
    if (fgets(got, sizeof got, s->f) == NULL)
        s->same = false;
    got[strcspn(got, "\n")] = '\0';
    if (strcmp(got, line) != 0) {
        print_error("conf/pushpin.conf has \"%s\", the table \"%s\"\n", got, line);
        s->same = false;
    }
}

static void
show(const char *line, void *arg)
{
    fprintf(arg, "%s\n", line);
}

/* Run from the root of the tree, as make does. After a change of the table: PRINT=conf/pushpin.conf build/unit/... */
TEST(shipped_file_is_what_the_table_says)
{
    const char *print = getenv("PRINT");
    struct shipped s = {NULL, true};
    struct config *c;
    if (print != NULL) {
        FILE *f = fopen(print, "w");
        config_print(show, f);
        fclose(f);
    }
    s.f = fopen("conf/pushpin.conf", "r");
    CHECK(s.f != NULL);
    config_print(compare, &s);
    CHECK(s.same && fgetc(s.f) == EOF);
    fclose(s.f);
    logged();
    c = config_load(&(struct config_options){.config_file = "conf/pushpin.conf", .id = -1}, &e);
    CHECK(c != NULL);
    CHECK_STR(str_c(c->routesfile), "conf/routes");
    CHECK_STR(str_c(c->rundir), "run");
    CHECK_STR(str_c(c->logdir), "log");
    CHECK_INT(c->message_rate, 0);
    config_free(c);
    CHECK_STR(str_c(logged()), "");
}

/* the table of keys in the document */

static const char keys_begin[] = "<!-- keys: written by tests/unit/conf/test_config.c -->\n";
static const char keys_end[] = "<!-- end of keys -->\n";

static void
put_key_table(FILE *f)
{
    const char *section = "";
    for (unsigned i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->help == NULL)
            continue;
        if (strcmp(section, k->section) != 0)
            fprintf(f, "\n### [%s]\n\n| key | default | |\n| --- | --- | --- |\n", section = k->section);
        fprintf(f, "| `%s` | ", k->name);
        fprintf(f, *k->value != '\0' ? "`%s`" : "%s", k->value);
        fprintf(f, " | %s%s |\n", k->help, k->when == AT_RELOAD ? " (reload)" : "");
    }
    fputc('\n', f);
}

/* As above. After a change of the table: PRINT_KEYS=docs/configuration.md build/unit/... */
TEST(document_lists_the_keys_of_the_table)
{
    const char *print = getenv("PRINT_KEYS");
    static char text[131072];
    FILE *f = fopen("docs/configuration.md", "r");
    char *begin, *end, *want = NULL;
    size_t n;
    CHECK(f != NULL);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    begin = strstr(text, keys_begin);
    end = strstr(text, keys_end);
    CHECK(begin != NULL && end != NULL);
    f = open_memstream(&want, &n);
    fwrite(text, 1, (size_t)(begin + strlen(keys_begin) - text), f);
    put_key_table(f);
    fputs(end, f);
    fclose(f);
    if (print != NULL) {
        f = fopen(print, "w");
        fputs(want, f);
        fclose(f);
    } else if (strcmp(text, want) != 0) {
        fail_msg("docs/configuration.md does not list the keys of the table; see PRINT_KEYS");
    }
    free(want);
}

static int
remove_log(void **state)
{
    (void)state;
    return unlink(log_path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_shipped_values),
        cmocka_unit_test(values_are_quoted_escaped_trimmed_and_commented),
        cmocka_unit_test(lists_split_at_unquoted_commas),
        cmocka_unit_test(last_value_wins_and_sections_repeat),
        cmocka_unit_test(long_lines_are_read_and_too_long_ones_refused),
        cmocka_unit_test(words_of_a_few_keys),
        cmocka_unit_test(listeners_of_all_kinds),
        cmocka_unit_test(ports_behind_a_proxy),
        cmocka_unit_test(variables_and_the_port_offset),
        cmocka_unit_test(open_requests_are_capped_at_the_connections),
        cmocka_unit_test(control_address),
        cmocka_unit_test(errors_name_file_line_key_and_what_would_be_right),
        cmocka_unit_test(unknown_keys_and_sections_are_warned_about_once),
        cmocka_unit_test(legacy_rundir_counts_with_a_warning),
        cmocka_unit_test(options_win_over_the_file),
        cmocka_unit_test(bad_options_are_refused_in_the_words_of_pushpin),
        cmocka_unit_test(without_a_file_there_are_the_defaults),
        cmocka_unit_test(file_is_found_and_its_include_fills_gaps),
        cmocka_unit_test(shipped_file_is_what_the_table_says),
        cmocka_unit_test(document_lists_the_keys_of_the_table),
    };
    int fd = mkstemp(log_path);
    if (fd < 0 || close(fd) != 0 || log_open(log_path, &e) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_log);
}

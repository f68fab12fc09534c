#include "ctl/peer.h"

#include "ctl/command.h"
#include "proto/tnet.h"

static struct command *command;
static struct buf called; /* what the callbacks were called with */

static bool
connection_exists(void *arg, struct str id)
{
    CHECK(arg == &called);
    return str_starts(id, STR("live"));
}

static void
recover(void *arg)
{
    CHECK(arg == &called);
    buf_addf(&called, "recover ");
}

static int
refresh_connection(void *arg, struct str cid)
{
    CHECK(arg == &called);
    buf_addf(&called, "cid=%.*s ", STR_ARG(cid));
    return str_starts(cid, STR("live")) ? 0 : -1;
}

static void
refresh_channel(void *arg, struct str channel)
{
    CHECK(arg == &called);
    buf_addf(&called, "channel=%.*s ", STR_ARG(channel));
}

static const struct command_ops ops = {connection_exists, recover, refresh_connection, refresh_channel};

static void
begin_as(int type, bool with_publish)
{
    struct command_settings s = {.spec = command_spec, .ipc_mode = 0600};
    begin_peer(type);
    if (with_publish) {
        s.publish_pull = "tcp://127.0.0.1:5560";
        s.publish_sub = "tcp://127.0.0.1:5562";
    }
    called = BUF_INIT(4096);
    command = command_new(loop, context, &s, &ops, &called, (struct publish *)&published, NULL);
    CHECK(command != NULL);
    CHECK_INT(zmq_connect(peer, command_spec), 0);
}

static void
begin(void)
{
    begin_as(ZMQ_REQ, true);
}

static void
end(void)
{
    command_free(command);
    buf_clear(&called);
    end_peer();
}

/* Send TEXT with ' for ", as a tnetstring. */
static void
send_json(const char *text)
{
    struct buf b = BUF_INIT(65536);
    char *json = mem_strdup(text);
    json_t *v;
    for (char *c = json; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    v = json_loads(json, 0, NULL);
    CHECK(v != NULL);
    CHECK_INT(tnet_put(&b, v), 0);
    peer_send(b.ptr, b.len, 0);
    json_decref(v);
    buf_clear(&b);
    mem_free(json);
}

/* The next frame, a tnetstring, as sorted JSON with ' for ". */
static const char *
recv_json(void)
{
    static char text[4096];
    json_t *v = tnet_parse(peer_recv(), NULL, NULL);
    size_t n;
    CHECK(v != NULL);
    n = json_dumpb(v, text, sizeof text - 1, JSON_SORT_KEYS | JSON_COMPACT);
    text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (text[i] == '"')
            text[i] = '\'';
    json_decref(v);
    return text;
}

static void
answers(const char *request, const char *want)
{
    send_json(request);
    CHECK_STR(str_c(recv_json()), want);
}

#define OK(value) "{'success':true,'value':" value "}"
#define FAILED(condition) "{'condition':'" condition "','success':false}"
#define BAD_ITEMS(text) "{'condition':'bad-request','success':false,'value':'Invalid format: " text "'}"

TEST(answers_are_written_as_ever)
{
    begin();
    peer_send("19:6:method,7:recover,}", 23, 0);
    CHECK_STR(peer_recv(), "28:7:success,4:true!5:value,0:~}");
    peer_send("15:6:method,3:foo,}", 19, 0);
    CHECK_STR(peer_recv(), "50:7:success,5:false!9:condition,16:method-not-found,}");
    end();
}

TEST(methods_answer)
{
    static const struct {
        const char *request, *want, *called;
    } rows[] = {
        {"{'method':'recover','args':{}}", OK("null"), "recover "},
        {"{'method':'recover','id':'x y','from':'me'}", "{'id':'x y','success':true,'value':null}", "recover "},
        {"{'method':'recover','id':''}", OK("null"), "recover "},
        {"{'method':'Recover','id':'a'}", "{'condition':'method-not-found','id':'a','success':false}", ""},
        {"{'method':'conncheck','args':{'ids':['live1','dead','live2']}}", OK("['live1','live2']"), ""},
        {"{'method':'conncheck','args':{'ids':[]}}", OK("[]"), ""},
        {"{'method':'conncheck'}", FAILED("bad-request"), ""},
        {"{'method':'conncheck','args':{'ids':'live'}}", FAILED("bad-request"), ""},
        {"{'method':'conncheck','args':{'ids':['live',5]}}", FAILED("bad-request"), ""},
        {"{'method':'refresh','args':{'cid':'live','channel':'c'}}", OK("null"), "cid=live "},
        {"{'method':'refresh','args':{'cid':'dead'}}", FAILED("item-not-found"), "cid=dead "},
        {"{'method':'refresh','args':{'channel':'c'}}", OK("null"), "channel=c "},
        {"{'method':'refresh','args':{'cid':5,'channel':'c'}}", FAILED("bad-request"), ""},
        {"{'method':'refresh','args':{'channel':5}}", FAILED("bad-request"), ""},
        {"{'method':'refresh'}", FAILED("bad-request"), ""},
        {"{'method':'get-zmq-uris'}",
         OK("{'command':'*','publish-pull':'tcp://127.0.0.1:5560','publish-sub':'tcp://127.0.0.1:5562'}"), ""},
    };
    begin();
    for (size_t i = 0; i < countof(rows); i++) {
        struct str want = str_c(rows[i].want), got;
        ptrdiff_t star = str_chr(want, '*');
        buf_consume(&called, called.len);
        send_json(rows[i].request);
        got = str_c(recv_json());
        if (star >= 0) { /* the path of the socket differs from run to run */
            CHECK(str_starts(got, str_sub(want, 0, (size_t)star)));
            CHECK(str_find(got, str_c(command_spec)) == star);
            CHECK(str_ends(got, str_from(want, (size_t)star + 1)));
        } else {
            CHECK_STR(got, rows[i].want);
        }
        CHECK_STR(buf_str(&called), rows[i].called);
    }
    end();
}

TEST(uris_that_are_not_bound_are_not_told)
{
    begin_as(ZMQ_REQ, false);
    send_json("{'method':'get-zmq-uris'}");
    CHECK(str_find(str_c(recv_json()), STR("publish")) < 0);
    end();
}

TEST(items_are_published_all_or_none)
{
    begin();
    answers("{'method':'publish','args':{'items':[{'channel':'a','http-stream':{'content':'1'}},"
            "{'channel':'b','http-stream':{'content':'2'}}]}}",
            OK("null"));
    CHECK_STR(buf_str(&published), "a=1\nb=2\n");
    answers("{'method':'publish','args':{'items':[]}}", OK("null"));
    answers("{'method':'publish','args':{'items':[{'channel':'a','http-stream':{'content':'3'}},{'channel':'a'}]}}",
            BAD_ITEMS("no formats specified"));
    answers("{'method':'publish','args':{'items':[5]}}", BAD_ITEMS("publish item object is not an object"));
    answers("{'method':'publish'}", BAD_ITEMS("object does not contain 'items'"));
    answers("{'method':'publish','args':{'items':{}}}", BAD_ITEMS("object contains 'items' with wrong type"));
    CHECK_INT(n_published, 2);
    end();
}

TEST(bad_requests_are_answered_and_warned_of)
{
    static const struct {
        const char *request, *want;
        bool tnet; /* the request is one */
    } rows[] = {
        {"junk", FAILED("bad-request"), false},
        {"", FAILED("bad-request"), false},
        {"40:2:id,1:a,", FAILED("bad-request"), false},
        {"T19:6:method,7:recover,}", FAILED("bad-request"), false},
        {"4:1:1#]", FAILED("bad-request"), true},
        {"9:2:id,1:a,}", "{'condition':'bad-request','id':'a','success':false}", true},
        {"28:2:id,1:5#6:method,7:recover,}", FAILED("bad-request"), true},
        {"39:2:id,1:a,6:method,7:recover,4:args,1:5#}", "{'condition':'bad-request','id':'a','success':false}", true},
        {"13:6:method,1:5#}", FAILED("bad-request"), true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        begin();
        peer_send(rows[i].request, strlen(rows[i].request), 0);
        CHECK_STR(str_c(recv_json()), rows[i].want);
        CHECK_INT(logged("[WARN]", rows[i].tnet
                                       ? "zrpc server: received message with invalid format (parse failed), skipping"
                                       : "zrpc server: received message with invalid format (tnetstring parse "
                                         "failed), skipping"),
                  1);
        answers("{'method':'recover'}", OK("null"));
        end();
    }
}

TEST(dealer_sends_and_gets_an_empty_frame)
{
    begin_as(ZMQ_DEALER, true);
    for (int i = 0; i < 300; i++) {
        peer_send("", 0, ZMQ_SNDMORE);
        send_json("{'method':'recover'}");
    }
    for (int i = 0; i < 300; i++) {
        CHECK_STR(peer_recv(), "");
        CHECK_STR(str_c(recv_json()), OK("null"));
    }
    end();
}

TEST(proxies_in_between_get_their_frames_back)
{
    begin_as(ZMQ_DEALER, true);
    peer_send("hop1", 4, ZMQ_SNDMORE);
    peer_send("hop2", 4, ZMQ_SNDMORE);
    peer_send("", 0, ZMQ_SNDMORE);
    send_json("{'method':'recover'}");
    CHECK_STR(peer_recv(), "hop1");
    CHECK_STR(peer_recv(), "hop2");
    CHECK_STR(peer_recv(), "");
    CHECK_STR(str_c(recv_json()), OK("null"));
    end();
}

TEST(wrong_number_of_frames_is_warned_of)
{
    static const char warning[] = "zrpc server: received message with parts != 1, skipping";
    begin_as(ZMQ_DEALER, true);
    send_json("{'method':'recover'}"); /* no empty frame: nobody knows where the answer goes */
    TURN_UNTIL(loop, logged("[WARN]", warning) == 1);
    peer_send("", 0, ZMQ_SNDMORE);
    peer_send("a", 1, ZMQ_SNDMORE);
    peer_send("b", 1, 0);
    CHECK_STR(peer_recv(), "");
    CHECK_STR(str_c(recv_json()), FAILED("bad-request"));
    for (int i = 0; i < ZSOCK_FRAMES + 5; i++)
        peer_send("hop", 3, ZMQ_SNDMORE);
    peer_send("", 0, ZMQ_SNDMORE);
    send_json("{'method':'recover'}");
    for (int i = 0; i < ZSOCK_FRAMES - 2; i++) /* the peer's own frame comes before, and one is past the limit */
        peer_send("hop", 3, ZMQ_SNDMORE);
    peer_send("", 0, ZMQ_SNDMORE);
    send_json("{'method':'recover'}");
    for (int i = 0; i < ZSOCK_FRAMES - 2; i++)
        CHECK_STR(peer_recv(), "hop");
    CHECK_STR(peer_recv(), "");
    CHECK_STR(str_c(recv_json()), FAILED("bad-request"));
    CHECK_INT(logged("[WARN]", warning), 4);
    CHECK_STR(buf_str(&called), "");
    end();
}

TEST(requests_are_shown_at_debug_level)
{
    begin();
    log_set_level(LOG_DEBUG);
    answers("{'method':'refresh','args':{'channel':'c'}}", OK("null"));
    answers("{'method':'recover'}", OK("null"));
    CHECK_INT(logged("[DEBUG]", "IN command: refresh args={ \"channel\": \"c\" }"), 1);
    CHECK_INT(logged("[DEBUG]", "IN command: recover args={}"), 1);
    end();
}

TEST(failed_bind_says_why)
{
    struct command_settings s = {.spec = "ipc:///nonexistent/dir/sock", .ipc_mode = -1};
    struct err e;
    begin();
    CHECK(command_new(loop, context, &s, &ops, &called, (struct publish *)&published, &e) == NULL);
    CHECK_STR(str_c(e.text), "unable to bind to ipc:///nonexistent/dir/sock: No such file or directory");
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_written_as_ever),
        cmocka_unit_test(methods_answer),
        cmocka_unit_test(uris_that_are_not_bound_are_not_told),
        cmocka_unit_test(items_are_published_all_or_none),
        cmocka_unit_test(bad_requests_are_answered_and_warned_of),
        cmocka_unit_test(dealer_sends_and_gets_an_empty_frame),
        cmocka_unit_test(proxies_in_between_get_their_frames_back),
        cmocka_unit_test(wrong_number_of_frames_is_warned_of),
        cmocka_unit_test(requests_are_shown_at_debug_level),
        cmocka_unit_test(failed_bind_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

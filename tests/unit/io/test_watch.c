#include "io/turns.h"

#include "io/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static struct watch *watch;
static char start[4096]; /* the directory of the test run */
static struct {
    unsigned changed, settled;
    bool close;
} seen;

static void
on_changed(void *arg)
{
    CHECK(arg == &seen);
    CHECK_INT(seen.changed, seen.settled);
    seen.changed++;
    if (seen.close) {
        watch_close(watch);
        watch = NULL;
    }
}

static void
on_settled(void *arg)
{
    CHECK(arg == &seen);
    seen.settled++;
    CHECK_INT(seen.changed, seen.settled);
}

static const struct watch_ops ops = {on_changed, on_settled};

/* In a new, empty directory, which is the current one until end(). */
static void
begin(void)
{
    char dir[] = "/tmp/test_watch.XXXXXX";
    CHECK(getcwd(start, sizeof start) != NULL);
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(chdir(dir), 0);
    memset(&seen, 0, sizeof seen);
    loop = loop_new();
}

static void
begin_watch(const char *path, bool poll_only)
{
    struct watch_settings settings = {.delay = 30, .poll = 20, .poll_only = poll_only};
    watch = watch_new(loop, path, &settings, &ops, &seen);
    loop_poll(loop);
    CHECK_INT(seen.changed, 0);
}

static void
end(void)
{
    char dir[4096], command[5000];
    if (watch != NULL)
        watch_close(watch);
    watch = NULL;
    loop_free(loop);
    CHECK(getcwd(dir, sizeof dir) != NULL);
    CHECK_INT(chdir(start), 0);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    CHECK_INT(system(command), 0);
}

static void
put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK(fputs(text, f) >= 0);
    CHECK_INT(fclose(f), 0);
}

/* Put a link in the place of what is at PATH, at once. */
static void
relink(const char *target, const char *path)
{
    unlink("link.new");
    CHECK_INT(symlink(target, "link.new"), 0);
    CHECK_INT(rename("link.new", path), 0);
}

static void
expect_settled(unsigned n)
{
    TURN_UNTIL(loop, seen.settled >= n);
    CHECK_INT(seen.settled, n);
}

/* Nothing is told of what was done before: the next real change comes first. */
static void
expect_nothing_else(const char *path, unsigned n)
{
    loop_poll(loop);
    CHECK_INT(seen.changed, n);
    put(path, "another, longer text");
    expect_settled(n + 1);
}

TEST(written_file_is_told_once_a_burst)
{
    begin();
    put("routes", "a");
    begin_watch("routes", false);
    put("routes", "ab");
    TURN_UNTIL(loop, seen.changed == 1);
    CHECK_INT(seen.settled, 0);
    put("routes", "abc");
    put("routes", "abcd");
    expect_settled(1);
    put("routes", "abcde");
    expect_settled(2);
    end();
}

TEST(replaced_file_is_told)
{
    begin();
    put("routes", "a");
    begin_watch("routes", false);
    for (unsigned i = 1; i <= 3; i++) {
        put("routes.new", "a");
        CHECK_INT(rename("routes.new", "routes"), 0);
        expect_settled(i);
    }
    end();
}

TEST(removed_and_new_file_is_told)
{
    begin();
    begin_watch("routes", false);
    put("routes", "a");
    expect_settled(1);
    CHECK_INT(unlink("routes"), 0);
    expect_settled(2);
    put("routes", "a");
    expect_settled(3);
    end();
}

TEST(other_files_are_not_told)
{
    begin();
    put("routes", "a");
    begin_watch("routes", false);
    put("routes.swp", "x");
    put("pushpin.conf", "y");
    CHECK_INT(unlink("routes.swp"), 0);
    CHECK_INT(chmod("routes", 0600), 0); /* the same content */
    expect_nothing_else("routes", 0);
    end();
}

TEST(file_written_under_another_name_is_told)
{
    begin();
    CHECK_INT(mkdir("elsewhere", 0700), 0);
    put("elsewhere/file", "a");
    CHECK_INT(link("elsewhere/file", "routes"), 0);
    begin_watch("routes", false);
    put("elsewhere/file", "ab");
    expect_settled(1);
    end();
}

/* As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a directory of its own for each version. */
TEST(config_map_is_told_when_its_inner_link_changes)
{
    begin();
    CHECK_INT(mkdir("v1", 0700), 0);
    CHECK_INT(mkdir("v2", 0700), 0);
    put("v1/routes", "a");
    put("v2/routes", "a");
    relink("v1", "..data");
    relink("..data/routes", "routes");
    begin_watch("routes", false);
    relink("v2", "..data");
    expect_settled(1);
    CHECK_INT(unlink("v1/routes"), 0);
    CHECK_INT(rmdir("v1"), 0);
    put("v2/routes", "ab");
    expect_settled(2);
    CHECK_INT(mkdir("v3", 0700), 0);
    put("v3/routes", "a");
    relink("v3", "..data");
    expect_settled(3);
    end();
}

TEST(chain_of_links_is_told_wherever_it_changes)
{
    begin();
    CHECK_INT(mkdir("a", 0700), 0);
    CHECK_INT(mkdir("b", 0700), 0);
    CHECK_INT(mkdir("c", 0700), 0);
    put("c/one", "a");
    put("c/two", "a");
    relink("../b/link", "a/link");
    relink("../c/one", "b/link");
    begin_watch("./a/../a//link", false);
    relink("../c/two", "b/link");
    expect_settled(1);
    put("c/two", "ab");
    expect_settled(2);
    relink("../c/one", "a/link");
    expect_settled(3);
    put("b/file", "a");
    relink("../b/file", "a/link");
    expect_settled(4);
    put("c/two", "what was meant once");
    expect_nothing_else("b/file", 4);
    end();
}

TEST(file_behind_a_new_link_is_told)
{
    begin();
    put("routes", "a");
    begin_watch("routes", false);
    CHECK_INT(mkdir("d", 0700), 0);
    put("d/routes", "b");
    relink("d/routes", "routes");
    expect_settled(1);
    put("d/routes", "bc");
    expect_settled(2);
    end();
}

TEST(missing_directory_is_waited_for)
{
    begin();
    begin_watch("x/y/routes", false);
    CHECK_INT(mkdir("x", 0700), 0);
    loop_poll(loop);
    CHECK_INT(mkdir("x/y", 0700), 0);
    put("x/y/routes", "a");
    expect_settled(1);
    CHECK_INT(rename("x/y", "x/z"), 0);
    expect_settled(2);
    CHECK_INT(mkdir("x/y", 0700), 0);
    put("x/y/routes", "a");
    expect_settled(3);
    end();
}

TEST(link_to_itself_is_no_file)
{
    begin();
    relink("loop", "loop");
    begin_watch("loop", false);
    CHECK_INT(unlink("loop"), 0);
    put("loop", "a");
    expect_settled(1);
    end();
}

TEST(polling_tells_the_same)
{
    begin();
    put("routes", "a");
    begin_watch("routes", true);
    put("routes", "ab");
    expect_settled(1);
    CHECK_INT(unlink("routes"), 0);
    expect_settled(2);
    end();
}

TEST(closing_within_a_callback_ends_it)
{
    begin();
    begin_watch("routes", false);
    seen.close = true;
    put("routes", "a");
    TURN_UNTIL(loop, watch == NULL);
    put("routes", "ab");
    loop_poll(loop);
    CHECK_INT(seen.changed, 1);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_file_is_told_once_a_burst),
        cmocka_unit_test(replaced_file_is_told),
        cmocka_unit_test(removed_and_new_file_is_told),
        cmocka_unit_test(other_files_are_not_told),
        cmocka_unit_test(file_written_under_another_name_is_told),
        cmocka_unit_test(config_map_is_told_when_its_inner_link_changes),
        cmocka_unit_test(chain_of_links_is_told_wherever_it_changes),
        cmocka_unit_test(file_behind_a_new_link_is_told),
        cmocka_unit_test(missing_directory_is_waited_for),
        cmocka_unit_test(link_to_itself_is_no_file),
        cmocka_unit_test(polling_tells_the_same),
        cmocka_unit_test(closing_within_a_callback_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

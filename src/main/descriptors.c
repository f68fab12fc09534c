#include "main/descriptors.h"

#include "base/log.h"

#include <sys/resource.h>

enum { SPARE_DESCRIPTORS = 256 }; /* for sockets and files that are no client's */

size_t
descriptors_raise(const struct config *config)
{
    size_t clients = (size_t)config->client_maxconn, pool = clients / 10, most;
    rlim_t want = clients + clients + pool + SPARE_DESCRIPTORS; /* every client may wait for its origin */
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return clients;
    if (r.rlim_cur < want) {
        struct rlimit higher = {want, r.rlim_max < want ? want : r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0) {
            r = higher;
        } else {
            higher = (struct rlimit){r.rlim_max, r.rlim_max};
            if (r.rlim_cur < r.rlim_max && setrlimit(RLIMIT_NOFILE, &higher) == 0)
                r = higher;
        }
    }
    most = r.rlim_cur > 2 * SPARE_DESCRIPTORS ? r.rlim_cur - SPARE_DESCRIPTORS : r.rlim_cur / 2;
    if (most >= clients)
        log_info("descriptor limit %llu: up to %zu clients (client_maxconn)", (unsigned long long)r.rlim_cur, clients);
    else
        log_warn(
            "descriptor limit %llu: only %zu of %zu clients (client_maxconn); raise it with ulimit -n or LimitNOFILE",
            (unsigned long long)r.rlim_cur, most, clients);
    return most < clients ? most : clients;
}

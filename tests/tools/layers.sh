#!/bin/sh
# layers.sh: lists the includes that break the map of folders; fails when there are any.
#
# A file includes headers of its own folder and of lower levels, never sideways or up, and names the folder. A header in
# src/FOLDER is that folder's own. Only io includes the headers of libevent, ZeroMQ, TLS and sockets; main/pubtool*, a
# program of its own, does too. Names of files are unique.
set -u
files=$(find src include -name '*.[ch]' | sort)
# shellcheck disable=SC2086
awk '
BEGIN {
    map = "0 base  1 io proto  2 grip conf ws stats  3 client origin pub  4 proxy ctl  5 main"
    n = split(map, word, /  */)
    for (i = 1; i <= n; i++)
        if (word[i] ~ /^[0-9]$/)
            at = word[i]
        else
            level[word[i]] = at
}
function breach(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why
    breaches++
}
FNR == 1 {
    count++
    parts = split(FILENAME, path, "/")
    folder = path[2]
    if (parts != 3 || !(folder in level))
        breach("no folder of the map")
    if (path[3] in seen)
        breach("a second " path[3] ", the other is " seen[path[3]])
    seen[path[3]] = FILENAME
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    header = quoted[2]
    if (split(header, to, "/") != 2 || !(to[1] in level))
        breach("\"" header "\" does not name a folder of the map")
    else if (to[1] != folder && level[to[1]] >= level[folder])
        breach("\"" header "\" is not below " folder)
    else if (to[1] != folder && (getline line < ("src/" header)) >= 0) {
        close("src/" header)
        breach("\"" header "\" is " to[1] "\047s own")
    }
}
/^[ \t]*#[ \t]*include[ \t]*<(event2\/|event\.h|zmq\.h|openssl\/ssl\.h|sys\/(socket|un)\.h|netinet\/|arpa\/|netdb\.h|net\/)/ {
    if (folder != "io" && FILENAME !~ /^src\/main\/pubtool/)
        breach("only io includes " $0)
}
END {
    printf "%d files, %d breaches\n", count, breaches
    exit breaches > 0
}' $files

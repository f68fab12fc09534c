#!/bin/sh
# keys-mdoc.sh [--write]: the keys of docs/configuration.md, which a unit test keeps to the table in the source, as they
# stand in docs/man/pushpind.conf.5; --write puts them there. Run from the top folder.
set -eu
page=docs/man/pushpind.conf.5

keys() {
    awk -F ' [|] ' '
    /^<!-- keys/ { on = 1 }
    /^<!-- end of keys/ { on = 0 }
    !on { next }
    /^### / {
        if (list)
            print ".El"
        print ".Ss " substr($0, 5)
        print ".Bl -tag -width Ds"
        list = 1
    }
    /^[|] `/ {
        name = $1; value = $2; text = $3
        gsub(/^[|] `|`$/, "", name)
        gsub(/`/, "", value)
        sub(/ [|]$/, "", text)
        text = toupper(substr(text, 1, 1)) substr(text, 2)
        print ".It Ic " name
        print text "."
        if (value ~ /[^ ]/)
            print "The default is\n.Ql " value " ."
    }
    END { print ".El" }' docs/configuration.md
}

case ${1-} in
--write)
    new=$(mktemp)
    trap 'rm -f "$new"' EXIT
    { sed '/^\.\\" keys$/q' $page; keys; sed -n '/^\.\\" end of keys$/,$p' $page; } >"$new"
    cat "$new" >$page
    ;;
*) keys ;;
esac

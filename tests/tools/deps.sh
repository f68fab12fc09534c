#!/bin/sh
# deps.sh PACKAGE... [--optional PACKAGE...]
#
# Installs those of the Debian packages that are missing, as root or through sudo where that asks for no password;
# otherwise prints the line to type and fails. Of A/B either will do, the first that can be had. Optional packages that
# cannot be had are done without. Says nothing when nothing is missing.
set -eu

if ! command -v dpkg-query >/dev/null; then
    command -v pkg-config >/dev/null && exit 0
    echo "This is not Debian; please install what these packages of Debian's have: $*" >&2
    exit 1
fi

installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ')"

alternatives() {
    echo "$1" | tr / ' '
}

there() {
    case $1 in */*) set -- $(alternatives "$1") ;; esac
    for p; do
        case $installed in *" $p "*) return 0 ;; esac
    done
    return 1
}

missing= missing_optional= optional=
for want; do
    if [ "$want" = --optional ]; then
        optional=yes
    elif there "$want"; then
        :
    elif [ "$optional" ]; then
        missing_optional="$missing_optional $want"
    else
        missing="$missing $want"
    fi
done
[ "$missing$missing_optional" ] || exit 0

sudo=
can_install=yes
if [ "$(id -u)" != 0 ]; then
    sudo="sudo -n"
    sudo -n true 2>/dev/null || can_install=
fi

apt() { # quietly; the log is shown when it fails for good
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null
}

# Prints the first of A/B that apt knows; A, and failing, when it knows none.
choose() {
    for p in $(alternatives "$1"); do
        if apt-cache show --no-all-versions "$p" >/dev/null 2>&1; then
            echo "$p"
            return 0
        fi
    done
    echo "${1##*/}"
    return 1
}

choose_all() { # sets names and known
    names= known=yes
    for p in $missing; do
        n=$(choose "$p") || known=
        names="$names $n"
    done
    for p in $missing_optional; do
        if n=$(choose "$p"); then
            names="$names $n"
        fi
    done
    names=${names# }
}

choose_all
if [ ! "$can_install" ]; then
    [ "$missing" ] || exit 0
    command -v sudo >/dev/null && sudo="sudo " || sudo=
    echo "Some packages are missing. Please type this, as root, and then try again:" >&2
    echo "${sudo}apt-get install -y --no-install-recommends $names" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! "$known" ]; then
    echo "Reading the lists of packages (apt-get update)"
    apt update || true
    choose_all
fi
[ "$names" ] || exit 0
echo "Installing $names"
if ! apt install -y --no-install-recommends $names; then
    apt update || true # the lists may have been old
    if ! apt install -y --no-install-recommends $names; then
        cat "$log" >&2
        [ "$missing" ] || exit 0
        exit 1
    fi
fi

#!/usr/bin/env bash
# A private MIT Kerberos KDC on loopback, without root (as root it runs as nobody), for the realm POPWIRE.TEST.
#
#   kerberos.sh start WORKDIR     prints KEY=VALUE lines (port, pid, files for the environment) when it is ready
#   kerberos.sh stop WORKDIR
#
# Principals: alice / "s3cret pass"; pop/localhost, whose key is in KEYTAB; pop/other.test, whose key nobody has.
# What it prints, besides PORT, PID and REALM:
#   KRB5_CONFIG       for everyone who is to use this KDC, as an environment variable; the system's own file is not read
#   CCACHE            a credentials cache of alice, for KRB5CCNAME
#   CCACHE_EXPIRED    one whose only ticket is good for a second
#   KEYTAB            the keys of pop/localhost, readable by the user that dovecot.sh runs Dovecot as
#   CLIENT_KEYTAB     the keys of alice, for KRB5_CLIENT_KTNAME
# Environment, optional: PORT (default: a free port).

set -eu
# ---- as in dovecot.sh -----------------------------------------------------------------------------
NAME=$(basename "$0" .sh)
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive
say() { printf '%s\n' "$*" >&2; }
die() { say "$NAME: $*"; exit 1; }
CACHE=${POP3_SERVERS_CACHE:-/var/tmp/pop3-servers-$(id -u)}

apt() { # apt-get that waits for its turn
    apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
}
need() { # need PKG...: install the Debian packages that are missing, starting no service
    local p miss=()
    for p; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q ' installed$' || miss+=("$p"); done
    [ ${#miss[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "missing packages (install them as root): ${miss[*]}"
    mkdir -p "$CACHE"
    (   flock 9; mine=
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            mine=1; printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        fi
        apt install "${miss[@]}" || { apt update && apt install "${miss[@]}"; } || failed=1
        [ -z "$mine" ] || rm -f /usr/sbin/policy-rc.d
        [ -z "${failed:-}" ]
    ) 9>"$CACHE/apt.lock" || die "cannot install ${miss[*]}"
}
free_port() { # a free loopback port
    perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die; print $s->sockport'
}
spawn() { # spawn CMD...: run it in a session of its own, its output in $W/log; sets PID and notes it for stop
    setsid "$@" </dev/null >>"$W/log" 2>&1 &
    PID=$!
    echo "$PID $(cut -d' ' -f22 "/proc/$PID/stat" 2>/dev/null || echo 0)" >>"$W/pids"
}
alive() { # alive GROUP: whether a process of the group still runs (one that only waits to be reaped does not count)
    perl -e 'for (glob "/proc/[0-9]*/stat") { open my $f, "<", $_ or next; my $l = <$f> // next;
        exit 0 if $l =~ /.*\) (\S) \S+ (\d+)/s && $1 ne "Z" && $2 == $ARGV[0] } exit 1' "$1"
}
stop() { # end what spawn started, with all of its session; a pid that was reused is left alone
    local pid born groups=
    [ -f "$W/pids" ] || return 0
    while read -r pid born; do
        [ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null || echo gone)" = "$born" ] || continue
        groups="$groups $pid"
        kill -TERM -- "-$pid" 2>/dev/null || true
    done <"$W/pids"
    for pid in $groups; do
        for _ in $(seq 60); do alive "$pid" || break; sleep 0.05; done
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
    rm -f "$W/pids"
}
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
case ${1:-}:$# in start:2) ;; stop:2) [ -d "$2" ] || exit 0;; *) usage;; esac
mkdir -p "$2"; W=$(cd "$2" && pwd); T0=$(date +%s%3N)
if [ "$1" = stop ]; then stop; exit 0; fi
case $W in *[!A-Za-z0-9/._+-]*) die 'the path may have letters, digits and . _ + - only';; esac
[ ! -e "$W/pids" ] || stop
[ -z "$(ls -A "$W")" ] || [ -e "$W/.pop3-server" ] || die "$W is neither empty nor a work folder of these scripts"
find "$W" -mindepth 1 -delete; : >"$W/.pop3-server"; : >"$W/log"
[ "$(id -u)" != 0 ] || chmod 755 "$W"
# ---- end of what is as in dovecot.sh --------------------------------------------------------------
need krb5-kdc krb5-admin-server krb5-user
PORT=${PORT:-$(free_port)}
REALM=POPWIRE.TEST
export KRB5_CONFIG=$W/krb5.conf KRB5_KDC_PROFILE=$W/kdc.conf
# What a caller's environment happens to hold is not meant for the tools.
unset KRB5CCNAME KRB5_KTNAME KRB5_CLIENT_KTNAME KRB5_TRACE

# No DNS, and host names as they are given: the answers must not depend on the machine. Only TCP, so that one free port
# is all that it takes.
cat >"$KRB5_CONFIG" <<END
[libdefaults]
    default_realm = $REALM
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    qualify_shortname = ""
    rdns = false
    udp_preference_limit = 1
[realms]
    $REALM = {
        kdc = 127.0.0.1:$PORT
    }
[domain_realm]
    localhost = $REALM
    .test = $REALM
END
cat >"$KRB5_KDC_PROFILE" <<END
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:$PORT
[realms]
    $REALM = {
        database_name = $W/kdc/principal
        key_stash_file = $W/kdc/stash
        max_life = 1d
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
    }
[logging]
    default = STDERR
END

AS=
mkdir "$W/kdc"
if [ "$(id -u)" = 0 ]; then
    GROUP=$(id -gn nobody); AS="setpriv --reuid=nobody --regid=$GROUP --clear-groups"
    chown "nobody:$GROUP" "$W/kdc"
    $AS test -r "$KRB5_CONFIG" || die "user nobody cannot reach $W: choose a work folder whose parents all may enter"
fi
$AS kdb5_util create -s -P "the master key of a test" >>"$W/log" 2>&1 || { cat "$W/log" >&2; die 'kdb5_util failed'; }
# It answers with success whatever happens: what is missing shows below.
$AS kadmin.local >>"$W/log" 2>&1 <<END
addprinc -pw "s3cret pass" alice
addprinc -randkey pop/localhost
addprinc -randkey pop/other.test
ktadd -k $W/kdc/server.keytab pop/localhost
ktadd -k $W/kdc/client.keytab -norandkey alice
END
for FILE in server client; do [ -s "$W/kdc/$FILE.keytab" ] || { cat "$W/log" >&2; die 'kadmin.local failed'; }; done

# shellcheck disable=SC2086  # $AS is a command with its arguments
spawn $AS krb5kdc -n
END=$((SECONDS + 30))
# Its own word, not that somebody listens: where the port was taken, that is another.
until grep -q 'krb5kdc.*commencing operation' "$W/log"; do
    if [ $SECONDS -ge $END ] || ! kill -0 "$PID" 2>/dev/null; then tail -n 20 "$W/log" >&2; stop; die 'krb5kdc did not start'; fi
    sleep 0.02
done
login() { # login FILE OPTION...: alice's ticket into the cache FILE
    local cache=$1
    shift
    echo 's3cret pass' | kinit -c "FILE:$cache" "$@" alice >>"$W/log" 2>&1 || { tail -n 20 "$W/log" >&2; stop; die 'kinit failed'; }
}
login "$W/ccache"
login "$W/ccache.expired" -l 1s
printf '%s\n' "SERVER=$NAME" "PORT=$PORT" "PID=$PID" "REALM=$REALM" "KRB5_CONFIG=$KRB5_CONFIG" "CCACHE=FILE:$W/ccache" \
    "CCACHE_EXPIRED=FILE:$W/ccache.expired" "KEYTAB=$W/kdc/server.keytab" "CLIENT_KEYTAB=$W/kdc/client.keytab" \
    "START_MS=$(( $(date +%s%3N) - T0 ))" | tee "$W/env"

#!/usr/bin/env bash
# popa3d: mbox, USER/PASS only, no CAPA. A frozen, very plain RFC 1939 server.
#
#   popa3d.sh start WORKDIR EMLDIR     prints KEY=VALUE lines when it is ready
#   popa3d.sh stop WORKDIR
#
# Users alice / "s3cret pass" (an mbox with EMLDIR/*.eml) and bob / bobpass (empty, or BOB_EMLDIR/*.eml).
# Needs root: it checks passwords with PAM and changes user. It runs in a mount namespace that has its own /etc/passwd,
# /etc/shadow, /etc/pam.d and /var/mail; the package is unpacked, not installed; the system is not changed.
# socat listens, stunnel gives TLS (TLS_PORT implicit, STLS_PORT with STLS).
# Environment, all optional: PORT, TLS_PORT, STLS_PORT, BOB_EMLDIR, POP3_SERVERS_CACHE

set -eu
# ---- common part, the same in each of these scripts ---------------------------------------------
NAME=$(basename "$0" .sh)
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive
say() { printf '%s\n' "$*" >&2; }
die() { say "$NAME: $*"; exit 1; }
CACHE=${POP3_SERVERS_CACHE:-/var/tmp/pop3-servers-$(id -u)}    # unpacked packages, kept between runs

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
unpack() { # unpack PKG...: lay packages out under $CACHE/$NAME, not installed (they conflict with each other)
    local root=$CACHE/$NAME
    mkdir -p "$CACHE"; chmod 755 "$CACHE"
    (   flock 9
        [ ! -e "$root/.done" ] || exit 0
        tmp=$(mktemp -d "$CACHE/tmp.XXXXXX") && cd "$tmp" && mkdir root || exit 1
        apt download "$@" || { apt update && apt download "$@"; } || exit 1
        for d in ./*.deb; do
            dpkg -x "$d" root || exit 1
            dpkg-deb -f "$d" Depends | tr ',' '\n' | sed 's/^ *//; s/[ |(:].*//' | grep '^lib' >>root/.libs || true
        done
        chmod 755 root && touch root/.done && rm -rf "$root" && mv root "$root" && rm -rf "$tmp"
    ) 9>"$CACHE/$NAME.lock" || die "cannot download $*"
    # shellcheck disable=SC2046  # one word per package is what is wanted
    need $(sort -u "$root/.libs")
}
free_port() { # a free loopback port
    perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die; print $s->sockport'
}
make_certs() { # ca.pem; server.pem, server.key for localhost and 127.0.0.1; client.pem, client.key for CN=alice
    local d=$W/tls new='req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365'
    mkdir -p "$d"
    { openssl $new -keyout "$d/ca.key" -out "$d/ca.pem" -subj '/CN=POP3 test CA' \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign &&
      openssl $new -keyout "$d/server.key" -out "$d/server.pem" -CA "$d/ca.pem" -CAkey "$d/ca.key" -subj /CN=localhost \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:::1 &&
      openssl $new -keyout "$d/client.key" -out "$d/client.pem" -CA "$d/ca.pem" -CAkey "$d/ca.key" -subj /CN=alice \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth
    } 2>"$d/openssl.log" || { cat "$d/openssl.log" >&2; die 'openssl failed'; }
    cat "$d/server.pem" "$d/server.key" >"$d/both.pem"
    chmod 644 "$d"/*
}
emls() { find -H "$1" -maxdepth 1 -name '*.eml' | sort; }
fill_maildir() { # fill_maildir MAILDIR EMLDIR: unseen mail; message N is the Nth file by name
    mkdir -p "$1/cur" "$1/new" "$1/tmp"
    emls "$2" | D=$1 perl -ne 'chomp; local $/; $t = 1700000000 + ++$n; $to = sprintf "%s/new/%d.M%06dP1.localhost", $ENV{D}, $t, $n;
        open my $f, "<:raw", $_ or die "$_: $!"; open my $o, ">:raw", $to or die "$to: $!"; print $o scalar <$f>; close $o or die "$to: $!";
        utime $t, $t, $to'
}
fill_mbox() { # fill_mbox FILE EMLDIR: a traditional mbox; LF line ends, "From " quoted as ">From "
    emls "$2" | perl -ne 'chomp; local $/; open my $f, "<:raw", $_ or die; my $m = <$f>; $m =~ s/\r\n/\n/g; $m =~ s/^From />From /mg;
        $m .= "\n" if $m !~ /\n\z/; print "From sender\@example.org Tue Nov 14 22:13:20 2023\n", $m, "\n"' >"$1"
}
spawn() { # spawn CMD...: run it in a session of its own, its output in $W/log; sets PID and notes it for stop
    setsid "$@" </dev/null >>"$W/log" 2>&1 &
    PID=$!
    echo "$PID $(cut -d' ' -f22 "/proc/$PID/stat" 2>/dev/null || echo 0)" >>"$W/pids"
}
private() { # like spawn, in a mount namespace: the unpacked packages lie over /usr, $W/etc over /etc, $W/var-X is /var/X, $W/run is /run
    mkdir -p "$W/etc" "$W/run" "$W/.overlay"
    spawn unshare --mount --propagation private sh -euc '
        usr=$1/usr W=$2; shift 2
        mount -t overlay overlay -o "lowerdir=$usr:/usr" /usr
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$W/etc,workdir=$W/.overlay" /etc
        mount --bind "$W/run" /run
        for d in "$W"/var-*; do [ ! -d "$d" ] || mount --bind "$d" "/var/${d##*/var-}"; done
        exec "$@"' sh "$CACHE/$NAME" "$W" "$@"
}
wait_ok() { # wait_ok PORT: until the greeting +OK comes, 30 seconds at most
    local line end=$((SECONDS + 30))
    while [ $SECONDS -lt $end ] && kill -0 "$PID" 2>/dev/null; do
        line=$( { exec 3<>"/dev/tcp/$ADDR/$1" && IFS= read -r -t 5 line <&3 && printf 'QUIT\r\n' >&3 && printf %s "$line"; } 2>/dev/null ) || line=
        case $line in +OK*) return 0;; esac
        sleep 0.05
    done
    tail -n 20 "$W/log" >&2; stop; die "no +OK on port $1"
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
tls_front() { # stunnel before a server that has no TLS: implicit TLS on $TLS_PORT, STLS on $STLS_PORT
    need stunnel4
    STLS_PORT=${STLS_PORT:-$(free_port)}
    printf '%s\n' "foreground = yes" "pid =" "syslog = no" "cert = $W/tls/both.pem" "socket = l:TCP_NODELAY=1" "socket = r:TCP_NODELAY=1" \
        "[pop3s]" "accept = 127.0.0.1:$TLS_PORT" "connect = 127.0.0.1:$PORT" \
        "[stls]" "accept = 127.0.0.1:$STLS_PORT" "connect = 127.0.0.1:$PORT" "protocol = pop3" >"$W/stunnel.conf"
    spawn stunnel4 "$W/stunnel.conf"
    wait_ok "$STLS_PORT"
}
report() { # report KEY=VALUE...: what a test needs to know; kept in $W/env
    printf '%s\n' "SERVER=$NAME" "HOST=$ADDR" "PORT=$PORT" "TLS_PORT=${TLS_PORT:-}" "PID=$PID" "STLS_PORT=${STLS_PORT:-}" "USER1=alice" "PASS1=s3cret pass" \
        USER2=bob PASS2=bobpass "MESSAGES=$(emls "$E" | wc -l)" "CA=$W/tls/ca.pem" "$@" "START_MS=$(( $(date +%s%3N) - T0 ))" | tee "$W/env"
}
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
case ${1:-}:$# in start:3) ;; stop:2) [ -d "$2" ] || exit 0;; *) usage;; esac
mkdir -p "$2"; W=$(cd "$2" && pwd); T0=$(date +%s%3N)
if [ "$1" = stop ]; then stop; exit 0; fi
[ -d "$3" ] || die "no folder $3"
E=$(cd "$3" && pwd)
case $W$E in *[!A-Za-z0-9/._+-]*) die 'the paths may have letters, digits and . _ + - only';; esac
[ ! -e "$W/pids" ] || stop
[ -z "$(ls -A "$W")" ] || [ -e "$W/.pop3-server" ] || die "$W is neither empty nor a work folder of these scripts"
find "$W" -mindepth 1 -delete; : >"$W/.pop3-server"; : >"$W/log"
[ "$(id -u)" != 0 ] || chmod 755 "$W"
ADDR=127.0.0.1 PORT=${PORT:-$(free_port)} TLS_PORT=${TLS_PORT:-$(free_port)}
# ---- end of the common part ---------------------------------------------------------------------
[ "$(id -u)" = 0 ] || die 'needs root'
need openssl socat
unpack popa3d
make_certs
mkdir -p "$W/etc/pam.d" "$W/var-mail" "$W/var-lib/popa3d"
fill_mbox "$W/var-mail/alice" "$E"
fill_mbox "$W/var-mail/bob" "${BOB_EMLDIR:-$W/tls}"
{ grep -vE '^(alice|bob|popa3d):' /etc/passwd
  printf '%s\n' alice:x:42001:42001::/:/bin/sh bob:x:42002:42002::/:/bin/sh popa3d:x:42003:42003::/var/lib/popa3d:/bin/false; } >"$W/etc/passwd"
{ grep -vE '^(alice|bob|popa3d):' /etc/group; printf '%s\n' alice:x:42001: bob:x:42002: popa3d:x:42003:; } >"$W/etc/group"
( umask 077; { printf 'alice:%s:19000::::::\nbob:%s:19000::::::\n' "$(openssl passwd -6 's3cret pass')" "$(openssl passwd -6 bobpass)"; } >"$W/etc/shadow" )
printf 'auth required pam_unix.so nodelay\naccount required pam_unix.so\n' >"$W/etc/pam.d/popa3d"
chown 42001:42001 "$W/var-mail/alice"; chown 42002:42002 "$W/var-mail/bob"; chmod 600 "$W/var-mail/"*
chmod 1777 "$W/var-mail"
private socat "TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=128" EXEC:/usr/sbin/popa3d,nofork
wait_ok "$PORT"
SERVER_PID=$PID
tls_front
PID=$SERVER_PID
report STLS=no

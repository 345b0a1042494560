#!/usr/bin/env bash
# Dovecot 2.3 as a private POP3 server on loopback, without root (as root it runs as nobody).
#
#   dovecot.sh start WORKDIR EMLDIR     prints KEY=VALUE lines (ports, pid, CA, tokens) when it is ready
#   dovecot.sh stop WORKDIR
#
# Users alice / "s3cret pass" (a Maildir with EMLDIR/*.eml) and bob / bobpass (empty, or BOB_EMLDIR/*.eml).
# Environment, all optional: PORT, TLS_PORT (default: free ports), BOB_EMLDIR, POP3_SERVERS_CACHE, and
#   VARIANT=default   every mechanism, session lock, LAST, UIDL %08Xu%08Xv
#   VARIANT=quirks    pop3_no_flag_updates, outlook-no-nuls + oe-ns-eoh, pop3_deleted_flag (QUIT hides, expunges nothing),
#                     UIDL = file GUID, no session lock, no LAST, plain + login only
#   VARIANT=tlsonly   no login of any kind before STLS; listens on HOST=127.0.0.2, since it trusts clients of its own address
#   UIDL_FORMAT=...   pop3_uidl_format, e.g. %g, %f, %v-%u (UIDLs longer than 70 octets: %f%f%f)
#   CLIENT_CERT=require   refuse TLS clients without the certificate of alice
#   AUTH_FAILURE_DELAY=N  seconds before a refused login is answered (default 0)
#   EXTRA_CONF=...    more lines of dovecot.conf
# The password of alice also works in AUTH PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256 and APOP;
# XOAUTH2 and OAUTHBEARER take the printed TOKEN_*; EXTERNAL takes CLIENT_CERT/CLIENT_KEY over TLS; ANONYMOUS has its own mailbox.

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
VARIANT=${VARIANT:-default}
need dovecot-pop3d openssl
case $(dovecot --version) in 2.3.*) ;; *) die "needs Dovecot 2.3, whose settings 2.4 does not take; found $(dovecot --version)";; esac
make_certs
fill_maildir "$W/mail/alice/Maildir" "$E"
fill_maildir "$W/mail/bob/Maildir" "${BOB_EMLDIR:-$W/tls}"
fill_maildir "$W/mail/anonymous/Maildir" "$W/tls"
mkdir -p "$W/run" "$W/state" "$W/keys/default/HS256" "$W/keys/default/RS256"
cat >"$W/users" <<'END'
alice:{PLAIN}s3cret pass
bob:{PLAIN}bobpass
END
echo 'alice:::::::nopassword=y' >"$W/users.external"

# Signed tokens for XOAUTH2 and OAUTHBEARER, checked locally against keys/AZP/ALG/KID
b64url() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
jwt() { # jwt ALG SUB EXPIRES
    local head body alg=$1
    head=$(printf '{"alg":"%s","typ":"JWT"}' "$alg" | b64url)
    body=$(printf '{"sub":"%s","iss":"https://issuer.test","scope":"mail","iat":1700000000,"exp":%s}' "$2" "$3" | b64url)
    case $alg in
        HS256) printf '%s.%s.%s' "$head" "$body" "$(printf %s "$head.$body" | openssl dgst -sha256 -hmac "$SECRET" -binary | b64url)";;
        RS256) printf '%s.%s.%s' "$head" "$body" "$(printf %s "$head.$body" | openssl dgst -sha256 -sign "$W/rsa.key" -binary | b64url)";;
    esac
}
SECRET=test-secret-of-at-least-32-octets!
printf %s "$SECRET" | openssl base64 -A >"$W/keys/default/HS256/default"
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$W/rsa.key" 2>/dev/null ||
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$W/rsa.key" 2>/dev/null
openssl pkey -in "$W/rsa.key" -pubout -out "$W/keys/default/RS256/default"
cat >"$W/oauth2.conf" <<END
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=$W/keys/
username_attribute = sub
issuers = https://issuer.test
END

ME=$(id -un); GROUP=$(id -gn); AS=
if [ "$(id -u)" = 0 ]; then
    ME=nobody; GROUP=$(id -gn nobody); AS="setpriv --reuid=nobody --regid=$GROUP --clear-groups"
    chown -R "nobody:$GROUP" "$W"
    $AS test -r "$W/users" || die "user nobody cannot reach $W: choose a work folder whose parents all may enter"
fi

MECHS='plain login cram-md5 digest-md5 apop scram-sha-1 scram-sha-256 xoauth2 oauthbearer external anonymous'
QUIRKS='pop3_lock_session = yes
pop3_enable_last = yes'
case $VARIANT in
    default) ;;
    quirks) MECHS='plain login'; UIDL_FORMAT=${UIDL_FORMAT:-%g}; QUIRKS='pop3_no_flag_updates = yes
pop3_client_workarounds = outlook-no-nuls oe-ns-eoh
pop3_deleted_flag = "$POP3Deleted"
pop3_fast_size_lookups = yes';;
    tlsonly) ADDR=127.0.0.2; QUIRKS="$QUIRKS
ssl = required
disable_plaintext_auth = yes";;
    *) die "no VARIANT $VARIANT";;
esac
cat >"$W/dovecot.conf" <<END
protocols = pop3
listen = $ADDR
base_dir = $W/run
state_dir = $W/state
log_path = $W/log
default_internal_user = $ME
default_internal_group = $GROUP
default_login_user = $ME
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
shutdown_clients = yes

service pop3-login {
  chroot =
  process_min_avail = 1
  client_limit = 1000
  service_count = 0
  inet_listener pop3 {
    port = $PORT
  }
  inet_listener pop3s {
    port = $TLS_PORT
    ssl = yes
  }
}
service pop3 {
  process_limit = 1000
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}

ssl = yes
ssl_cert = <$W/tls/server.pem
ssl_key = <$W/tls/server.key
ssl_ca = <$W/tls/ca.pem
ssl_require_crl = no
ssl_verify_client_cert = yes
ssl_cert_username_field = commonName
auth_ssl_username_from_cert = yes
auth_ssl_require_client_cert = $([ "${CLIENT_CERT:-}" = require ] && echo yes || echo no)

disable_plaintext_auth = no
auth_mechanisms = $MECHS
auth_anonymous_username = anonymous
auth_realms = localhost
auth_username_format = %Ln
auth_failure_delay = ${AUTH_FAILURE_DELAY:-0}
mail_max_userip_connections = 100
passdb {
  driver = passwd-file
  args = $W/users.external
  mechanisms = external
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN $W/users
  mechanisms = plain login cram-md5 digest-md5 apop scram-sha-1 scram-sha-256
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = $W/oauth2.conf
}
userdb {
  driver = static
  args = uid=$ME gid=$GROUP home=$W/mail/%n allow_all_users=yes
}
pop3_uidl_format = ${UIDL_FORMAT:-%08Xu%08Xv}
$QUIRKS
${EXTRA_CONF:-}
END
spawn $AS dovecot -F -c "$W/dovecot.conf"
wait_ok "$PORT"
FAR=4102444800
report STLS=yes "VARIANT=$VARIANT" "CLIENT_CERT=$W/tls/client.pem" "CLIENT_KEY=$W/tls/client.key" "TOKEN_HS256=$(jwt HS256 alice $FAR)" \
    "TOKEN_RS256=$(jwt RS256 alice $FAR)" "TOKEN_EXPIRED=$(jwt HS256 alice 1700000001)" "TOKEN_BOB=$(jwt HS256 bob $FAR)"

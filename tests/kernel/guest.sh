#!/bin/bash
# guest.sh PORT COMMANDS: boots Linux as an ordinary process (user-mode Linux, about a second), mounts the NFSv3 server on this namespace's
# 127.0.0.1:PORT at /mnt, runs the commands there with bash, prints their output, and exits with their status. Run it under namespace.sh.
#   EXPORT=/          path to mount              MOUNT_OPTIONS=     further mount options
#   LIMIT=200         seconds for the whole run  SHARE=DIR          a directory of the host, shown read-write as /share
#   NOMOUNT=1         do not mount; the commands may: mount -t nfs -o "$NFS_OPTIONS" "$NFS_DEVICE" /mnt
#   INSIDE=COMMANDS   started in the guest, in the background, before the commands: a server on the guest's own loopback. The host's root is at
#                     /hostroot, read-only; `host /abs/program ARGUMENTS` runs a program of the host. Waits for PORT to listen; implies NOMOUNT
#   DISK=FILE         a raw disk image, the guest's /dev/ubdb, that is kept: for a server that must survive a power cut
#   PIDFILE=FILE      gets the guest's process group; kill -9 -- -GROUP is the power cut
#   MEMORY=1024M      of the guest               DIRECT=1           no address translation: the guest reaches this namespace's 10.77.SLOT.1 under
#                     its own address, 10.77.SLOT.2 (default: it reaches 127.0.0.1, and is seen as that)
#   SLOT=1            of the tap device and the addresses (default: the first that is free)
# Exit status: the commands'; 120 the mount failed; 121 the server inside never listened; 124 out of time; 125 the guest died or set-up failed.
main() {
  [ $# = 2 ] || { sed -n '2,15s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 125; }
  PORT=$1
  local commands=$2 here image
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  image=$("$here/image/build.sh" --print)
  [ -f "$image" ] || fail "there is no image; make it with tests/kernel/image/build.sh"
  [ "${STRATA_NAMESPACE:-}" = "$(readlink /proc/self/ns/net)" ] || fail "not in a namespace of its own: namespace.sh $0 ..."
  EXPORT=${EXPORT:-/} MOUNT_OPTIONS=${MOUNT_OPTIONS:-} SHARE=${SHARE:-}
  NOMOUNT=${NOMOUNT:-${INSIDE:+1}}

  # One slot is one tap device and one /30: several guests may share the namespace.
  local tap= address=
  for slot in ${SLOT:-$(seq 1 60)}; do
    tap=guest$slot GATEWAY=10.77.$slot.1 address=10.77.$slot.2
    ip tuntap add dev $tap mode tap vnet_hdr 2>/dev/null && break
    tap=
  done
  [ -n "$tap" ] || fail "no tap device to be had"
  job=$(mktemp -d /tmp/strata-guest.XXXXXX)
  group= printer=
  trap cleanup EXIT
  trap 'exit 130' INT TERM HUP
  ip addr add $GATEWAY/30 dev $tap && ip link set $tap up || fail "cannot set the tap device up"
  echo 1 >/proc/sys/net/ipv4/conf/$tap/route_localnet
  # What the guest sends to its gateway arrives at this namespace's 127.0.0.1.
  [ -n "${DIRECT:-}" ] || nft -f - <<RULES || fail "cannot set up address translation"
table ip strata_guest_$slot {
  chain pre { type nat hook prerouting priority dstnat; policy accept; iifname "$tap" ip daddr $GATEWAY dnat to 127.0.0.1; }
  chain inp { type nat hook input priority 100; policy accept; iifname "$tap" snat to 127.0.0.1; }
}
RULES

  cp "$here/image/job" "$job/job"
  printf '%s\n' "$commands" >"$job/commands"
  [ -z "${INSIDE:-}" ] || printf '%s\n' "$INSIDE" >"$job/inside"
  for name in GATEWAY PORT EXPORT MOUNT_OPTIONS NOMOUNT SHARE; do printf '%s=%q\n' $name "${!name}"; done >"$job/env"
  : >"$job/output"
  set -m
  linux.uml umid=strata$$ uml_dir="$job" mem="${MEMORY:-1024M}" ubd0rc="$image" ${DISK:+ubd1=$DISK} root=/dev/ubda ro init=/guest-init \
    vec0:transport=tap,ifname=$tap,depth=128,gro=1 con=null con0=null,fd:1 con1=null,fd:3 ssl=null console=tty0 quiet \
    initcall_blacklist=raid6_select_algo,init_btrfs_fs,init_zswap random.trust_cpu=1 noreboot panic=-1 \
    guest_job="$job" guest_addr=$address guest_gw=$GATEWAY </dev/null 3>>"$job/output" >"$job/console" 2>&1 &
  group=$!
  [ -z "${PIDFILE:-}" ] || { echo $group >"$PIDFILE.new" && mv "$PIDFILE.new" "$PIDFILE"; }
  tail -c +1 -s 0.05 --pid=$group -f "$job/output" &
  printer=$!
  # Ends the guest when its time is over.
  (sleep "${LIMIT:-200}" && : >"$job/late" && kill -9 -- -$group) >/dev/null 2>&1 &
  local watchdog=$!
  set +m
  wait $group 2>/dev/null
  kill -- -$watchdog 2>/dev/null
  wait $printer 2>/dev/null # it ends after a last read
  printer=

  local status=125
  [ ! -s "$job/status" ] || status=$(cat "$job/status")
  if [ -e "$job/late" ]; then
    echo "guest.sh: out of time after ${LIMIT:-200} s; its last kernel messages:" >&2
    tail -n 20 "$job/console" >&2
    status=124
  elif [ "$status" = 125 ] && [ -z "${PIDFILE:-}" ]; then
    echo "guest.sh: the guest ended without a status; its console:" >&2
    tail -n 20 "$job/console" >&2
  fi
  if [ "$status" != 0 ] && [ -s "$job/inside.log" ]; then
    echo "guest.sh: what the server inside said last:" >&2
    tail -n 30 "$job/inside.log" >&2
  fi
  exit "$status"
}

fail() {
  echo "guest.sh: $*" >&2
  exit 125
}

cleanup() {
  trap - EXIT INT TERM HUP
  [ -z "$group" ] || kill -9 -- -"$group" 2>/dev/null
  [ -z "$printer" ] || kill "$printer" 2>/dev/null
  nft delete table ip strata_guest_$slot 2>/dev/null
  ip link del guest$slot 2>/dev/null
  rm -rf "$job"
}

main "$@"

#!/bin/bash
# namespace.sh COMMAND...: runs COMMAND as root in a network and process namespace of its own, with the loopback up. When COMMAND ends, every
# process it started and every device it made is gone. Nothing in there reaches, or is reached from, any other network. Exit status: COMMAND's.
[ $# -ge 1 ] || { sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 125; }
exec unshare --net --pid --fork --kill-child=KILL --mount-proc -- /bin/bash -c \
  'ip link set lo up && export STRATA_NAMESPACE=$(readlink /proc/self/ns/net) || exit 125; "$@"' namespace "$@"

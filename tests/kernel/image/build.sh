#!/bin/bash
# image/build.sh [--print]: makes the guest's image where it is missing or older than what it is made of, in about a minute; says nothing if it is there.
# --print only prints the image's path. Exit status 77: this machine cannot (the reason is printed).
#   STRATA_GUEST_DIR   where it is kept (default ~/.cache/strata/guest)
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
cache=${STRATA_GUEST_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/strata/guest}

# The guest's user land: the NFS client's helpers, what the jobs use, and what those need.
packages=bash,coreutils,busybox-static,nfs-common,rpcbind,util-linux,kmod,netbase,iproute2,procps
packages+=,git,tar,rsync,findutils,diffutils,perl,python3-minimal,strace,attr,acl,gzip,xz-utils,libc6-dev

modules=$(ls -d /usr/lib/uml/modules/* 2>/dev/null | head -n 1 || true)
land_key=$(printf '%s' "$packages" | sha256sum | cut -c1-16)
image_key=$(cat "$here/build.sh" "$here/init.c" <(echo "$modules") | sha256sum | cut -c1-16)
image=$cache/$image_key.ext4
if [ "${1:-}" = --print ]; then echo "$image"; exit 0; fi
[ -f "$image" ] && exit 0

skip() { echo "Skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "making the guest's image needs root"
for program in linux.uml mmdebstrap mke2fs gcc xz; do
  command -v $program >/dev/null || skip "making the guest's image needs $program (scripts/setup test)"
done

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -f "$image" ] && exit 0
land=$cache/land-$land_key
work=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ ! -d "$land" ]; then
  echo "Making the Debian user land of the kernel client's guest ($land)."
  mmdebstrap --quiet --variant=minbase --include=$packages bookworm "$work/land" >"$cache/build.log" 2>&1 || {
    tail -n 20 "$cache/build.log"
    skip "mmdebstrap failed (is Debian's mirror reachable?)"
  }
  rm -rf "$work"/land/usr/share/{doc,man,locale}/* "$work"/land/var/cache/apt/* "$work"/land/var/lib/apt/lists/*
  # For tests that need several identities.
  for id in 1001 1002 1003; do
    echo "user$id:x:$id:$id::/tmp:/bin/bash" >>"$work/land/etc/passwd"
    echo "user$id:x:$id:" >>"$work/land/etc/group"
  done
  mkdir -p "$work"/land/{host,hostroot,mnt,share,.old}
  rm -rf "$cache"/land-* && mv "$work/land" "$land"
fi

version=$(basename "$modules")
rm -rf "$land/lib/modules" && mkdir -p "$land/lib/modules/$version/extra"
for module in overlay fscache netfs sunrpc grace lockd nfs_acl nfs_common nfs_localio nfs nfsv3; do
  found=$(find "$modules" -name "$module.ko" -o -name "$module.ko.xz" | head -n 1)
  case $found in
    *.xz) xz -dc "$found" >"$land/lib/modules/$version/extra/$module.ko" ;;
    ?*) cp "$found" "$land/lib/modules/$version/extra/" ;;
  esac
done
gcc -O2 -Wall -static -o "$land/guest-init" "$here/init.c"

size=$(($(du -sm "$land" | cut -f1) * 115 / 100 + 64))
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -m 0 -d "$land" "$work/image" ${size}M >/dev/null
rm -f "$cache"/*.ext4 && mv "$work/image" "$image"
echo "Made $image ($(du -m "$image" | cut -f1) MiB)."

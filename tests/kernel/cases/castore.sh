# A tree of a store: imported, mounted with the options that are printed for it, compared, held open over a kill -9; then a workspace over it.
. "$here/tree.sh"
pack_tree || fail "the archive could not be made"
tar -xf "$scratch/share/tree.tar" -C "$layer" && rm "$layer/fifo" || fail "the archive could not be unpacked"
git init -q --bare -b main "$layer/repository.git" && git -C "$scratch" init -q work && (
  cd "$scratch/work" && seq 5000 >numbers && git add . &&
    git -c user.name=t -c user.email=t@localhost commit -qm one && git push -q ../layer/repository.git HEAD:main
) || fail "the repository could not be made"
mkdir -p "$layer"/equal/{one,two} && for f in one/f two/f g; do echo the same >"$layer/equal/$f"; done
fingerprint "$layer" >"$scratch/before"
(cd "$layer" && find . -type f -exec sha256sum {} + | sort) >"$scratch/share/sums"
(cd "$layer" && find . -printf '%P %y %l\n' | sort) >"$scratch/share/names"
store=$scratch/store
digest=$("$strata" import "$layer" --store "$store" --name tree -q) || fail "the import failed"
printf '%s\n' "$digest" >"$scratch/share/digest"

served=("castore:$digest@$store" --read-only --state "$scratch/home")
start_server
exec {lines}< <(MOUNT_OPTIONS=ro,nocto,actimeo=3600 guest castore 2>&1; echo "status $?")
status=
while read -r -t 200 line <&"$lines"; do
  echo "$line"
  case $line in
    "restart the server now")
      kill_server
      start_server
      : >"$scratch/share/restarted" ;;
    "status "*) status=${line#status } ;;
  esac
done
[ "$status" = 0 ] || { tail -n 30 "$log"; fail "the job ended with status ${status:-none within 200 s}"; }
stop_server

served+=(--share-inodes)
start_server
MOUNT_OPTIONS=ro,nocto,actimeo=3600 guest castore_shared || { tail -n 30 "$log"; fail "with shared numbers it fails"; }
stop_server

served=("castore:tree@$store" --workspace "$workspace")
start_server
guest castore_over || { tail -n 30 "$log"; fail "a workspace over the tree fails"; }
kill_server
"$strata" store gc "$store" --json | grep -q '"removed_packs": 0' || fail "what the workspace lies over was removed"
"$strata" store verify "$store" >"$scratch/verified" || { cat "$scratch/verified"; fail "the store is damaged"; }
start_server
guest castore_again || { tail -n 30 "$log"; fail "what was written over the tree is not there again"; }
stop_server
check_layer

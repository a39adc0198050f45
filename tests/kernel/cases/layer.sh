# 11,000 files in several shapes. After the job the server is started again, and the tree is the same, by name, kind, size and inode number.
(
  cd "$layer"
  mkdir flat deep wide links
  (cd flat && seq 1 5000 | sed 's/^/f/' | xargs touch)
  for i in $(seq 1 10); do mkdir deep/d$i && (cd deep/d$i && for j in $(seq 1 100); do echo "$i $j" >f$j; done); done
  for i in $(seq 1 500); do mkdir wide/w$i && (cd wide/w$i && touch $(seq 1 10)); done
  echo linked >links/a && ln links/a links/b && ln -s a links/s
)
find "$layer" -type f | wc -l >"$scratch/share/files"
echo "Serving $(cat "$scratch/share/files") files."
run_job layer
[ -s "$scratch/share/tree_seen" ] || fail "the job left no list of what it saw"
start_server
guest list_again || fail "the tree is not the same after a restart"
check_layer
stop_server

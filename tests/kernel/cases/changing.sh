# The folder is changed on the host while the client looks at it and changes it too: an editor's work, a checkout, rm -rf.
# The guest changes it, through /share; so there is nothing to compare afterwards.
layer=$scratch/share/layer
mkdir -p "$layer"/{edit,gone/sub,swap,kind/dir,many,both}
(
  cd "$layer"
  for i in 1 2 3 4; do echo "old $i" >edit/f$i; done
  echo g >gone/sub/g && echo s >swap/s && echo k >kind/file && echo x >kind/dir/x
  head -c 2000000 /dev/zero | tr '\0' o >edit/big
  for name in inplace replaced removed; do head -c 200000 /dev/zero | tr '\0' o >both/$name; done
  (cd many && touch $(seq 1 400))
  find . -exec touch -h -d '2020-01-01 00:00:00' {} +
)
start_server
guest changing || { tail -n 20 "$log"; fail "the job failed"; }
"$strata" diff "$workspace" --conflicts >"$scratch/conflicts" || fail "diff --conflicts failed"
[ ! -s "$scratch/conflicts" ] || { cat "$scratch/conflicts"; fail "conflicts are left of what was removed"; }
stop_server

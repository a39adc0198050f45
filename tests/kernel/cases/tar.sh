. "$here/tree.sh"
pack_tree || fail "the archive could not be made"
run_job tar

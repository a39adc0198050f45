# The digests of a castore tree, read on a mount of a workspace over it.
mkdir -p "$layer/folder"
printf 'Hello World!' >"$layer/folder/hello"
ln -s folder "$layer/link"
export XDG_STATE_HOME=$scratch/state
"$strata" import "$layer" --name tree --store "$scratch/store" >"$scratch/imported" || fail "the folder was not imported"
layer=castore:tree@$scratch/store
"$strata" xattr get "$layer" folder user.tvix.castore.directory.digest >"$scratch/share/folder" || fail "there is no digest"
start_server
guest control_castore || fail "on a workspace"
stop_server
start_server --no-show-xattr
guest control_castore_gone || fail "without the digests"
stop_server

# Extended attributes of a folder of the host, read on the mount as files of the hidden tree; and a .strata of the user's own.
mkdir -p "$layer/src/deep"
echo content >"$layer/readme"
echo content >"$layer/src/deep/file"
echo content >"$layer/private"
chmod 600 "$layer/private"
python3 - "$layer" <<'END' || skip "files here may have no user.* attributes"
import os, sys
os.chdir(sys.argv[1])
for path, name, value in [("readme", "user.note", b"hello"), ("readme", "user.raw", b"\xff\x00\n"), ("private", "user.note", b"mine"),
                          ("src/deep", "user.note", b"of a folder"), ("src/deep/file", "user.note", b"deep")]:
    os.setxattr(path, name, value)
END
run_job control
start_server --no-control-tree
guest control_gone || fail "without the control tree something of it is left"
check_layer
stop_server

# What FUSE users read as extended attributes.
cd /mnt
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3: $1"; }
is "$(cat greeting/hello)" "hello from a blob" "the file"
is "$(cat .strata/xattr-names/greeting/hello)" user.tvix.castore.blob.digest "its attribute"
is "$(cat .strata/xattr/user.tvix.castore.blob.digest/greeting/hello)" "@BLOB@" "its digest"
is "$(cat .strata/xattr-names/greeting/.self)" user.tvix.castore.directory.digest "that of a folder"
is "$(cat .strata/xattr/user.tvix.castore.directory.digest/greeting/.self | head -c 3)" b3: "its digest"
must_fail "a file has no directory's digest" cat .strata/xattr/user.tvix.castore.directory.digest/greeting/hello
must_fail "nothing is made" mkdir .strata/new

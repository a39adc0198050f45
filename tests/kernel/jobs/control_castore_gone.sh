# The same without the digests.
cd /mnt
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3: $1"; }
is "$(stat -c %s .strata/xattr-names/folder/hello)" 0 "no attribute is left"
must_fail "nor its value" cat .strata/xattr/user.tvix.castore.blob.digest/folder/hello

# What FUSE users read as extended attributes. The blob's digest is that of BLAKE3's own b3sum.
cd /mnt
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3: $1"; }
blob=user.tvix.castore.blob.digest directory=user.tvix.castore.directory.digest
is "$(cat folder/hello)" "Hello World!" "the file"
is "$(cat .strata/xattr-names/folder/hello)" $blob "its attribute"
is "$(cat .strata/xattr/$blob/folder/hello)" b3:XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww= "its digest"
is "$(cat .strata/xattr-names/folder/.self)" $directory "that of a folder"
is "$(cat .strata/xattr/$directory/folder/.self)" "$(cat /share/folder)" "its digest"
is "$(head -c 3 .strata/xattr/$directory/.self)" b3: "the root has one too"
is "$(stat -c %s .strata/xattr-names/link)" 0 "a symlink has none"
must_fail "a file has no folder's digest" cat .strata/xattr/$directory/folder/hello
must "a file is made" sh -c 'echo new >folder/new'
must_fail "it has no digest" cat .strata/xattr/$blob/folder/new

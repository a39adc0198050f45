# Sourced by the cases that unpack an archive: pack_tree makes share/tree.tar, which has files, folders, links of both kinds, modes, times and a
# sparse file in it.
pack_tree() {
  mkdir -p "$scratch/tree" && cp -r /usr/include/linux /usr/include/x86_64-linux-gnu/asm "$scratch/tree"
  (cd "$scratch/tree" && ln -s linux/fs.h symlink && ln linux/fs.h hardlink && mkdir -m 2775 setgid empty && mkfifo fifo &&
    truncate -s 3M sparse && echo end >>sparse && chmod 4711 linux/acct.h && touch -d '1999-12-31 23:59:59.123456789' linux/adb.h)
  tar -C "$scratch/tree" -cf "$scratch/share/tree.tar" .
}

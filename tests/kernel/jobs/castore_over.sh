# A writable workspace over the tree.
cd /mnt
must "a file is made" sh -c 'echo new >new && sync new'
must "one of the tree is written to" sh -c 'chmod u+w repository.git/HEAD && echo "# more" >>repository.git/HEAD'
must "one is renamed" mv repository.git renamed.git
must "git works in it" sh -c 'git clone -q -c safe.directory="*" /mnt/renamed.git /mnt/clone 2>/dev/null || git init -q /mnt/clone'
must "a folder is removed" sh -c 'rm -rf "$(find . -mindepth 1 -maxdepth 1 -type d ! -name "*.git" ! -name clone | sort | head -n 1)"'
find . ! -path "./.strata*" -printf '%P %y %s %l\n' | sort >/share/over
must "all of it is on the disk" sync

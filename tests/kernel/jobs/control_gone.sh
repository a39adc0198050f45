# The same folder from a server without the hidden tree.
cd /mnt
must_fail "there is no .strata" ls .strata
must "a folder of that name is made as any other" sh -c 'mkdir .strata && touch .strata/xattr && rm -r .strata'

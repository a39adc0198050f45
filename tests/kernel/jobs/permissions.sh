# Several users, by name and by group, on files of the layer and on new ones. Users 1001 to 1003 each have a group of their own.
as() { local id=$1; shift; setpriv --reuid="$id" --regid="$id" --clear-groups -- "$@"; }
as_with_group() { local id=$1 group=$2; shift 2; setpriv --reuid="$id" --regid="$id" --groups="$group" -- "$@"; }
mode() { stat -c %a "$1"; }
owner() { stat -c %u:%g "$1"; }
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3"; }
cd /mnt

must "a file of mode 0640 is read by its owner" as 1001 cat layer/private
must_fail "and not by another" as 1002 cat layer/private
must "a member of its group by a supplementary group reads it" as_with_group 1002 1001 cat layer/private
must_fail "and does not write it" as_with_group 1002 1001 sh -c 'echo x >>layer/private'
must_fail "a folder of mode 0700 is not entered" as 1002 ls layer/closed
must_fail "nor passed through" as 1002 cat layer/closed/inside
must "its owner enters it" as 1001 cat layer/closed/inside

must "mkdir of a shared folder" mkdir -m 1777 shared
must "one user makes a file there" as 1001 sh -c 'echo one >shared/one'
is "$(owner shared/one)" 1001:1001 "it is his and his group's"
must_fail "sticky: another does not remove it" as 1002 rm -f shared/one
must_fail "nor rename it" as 1002 mv -f shared/one shared/two
must "another makes one too" as 1002 sh -c 'echo two >shared/two'
must_fail "nor replace it by rename" as 1002 mv -f shared/two shared/one
must "the owner renames it" as 1001 mv shared/one shared/renamed
must "root removes it" rm shared/renamed
must "the owner removes his" as 1002 rm shared/two

must "mkdir of a setgid folder" sh -c 'mkdir group && chgrp 2000 group && chmod 2775 group'
must "a member makes a file and a folder in it" as_with_group 1003 2000 sh -c 'umask 002; echo x >group/file; mkdir group/folder'
is "$(owner group/file)" 1003:2000 "the file has the folder's group"
is "$(owner group/folder) $(mode group/folder)" "1003:2000 2775" "the folder too, and the setgid bit"
must "another member writes the file" as_with_group 1001 2000 sh -c 'echo y >>group/file'
must_fail "a stranger does not" as 1002 sh -c 'echo z >>group/file'

must "a user makes a file" as 1001 sh -c 'echo x >shared/mine && chmod 600 shared/mine'
must_fail "another cannot change its mode" as 1002 chmod 666 shared/mine
must_fail "a user cannot give his file away" as 1001 chown 1002 shared/mine
must_fail "nor to a group he is not in" as 1001 chgrp 2000 shared/mine
must "to a group he is in he can" as_with_group 1001 2000 chgrp 2000 shared/mine
must "the owner writes through an open file after chmod 000" as 1001 sh -c 'exec 7>>shared/mine && chmod 000 shared/mine && echo more >&7 && exec 7>&- && chmod 600 shared/mine && test "$(tail -n 1 shared/mine)" = more'
must "and reads" as 1001 sh -c 'exec 7<shared/mine && chmod 000 shared/mine && cat <&7 && exec 7<&- && chmod 600 shared/mine'
must "a file made with mode 0444 is written by the open that made it" as 1001 sh -c 'umask 222; echo object >shared/object && test "$(cat shared/object)" = object'

cp /bin/true shared/program && chown 1001:1001 shared/program
must "a set-id program" chmod 6755 shared/program
must "is written by a stranger who may" sh -c 'chmod o+w shared/program; chmod ug+s shared/program'
is "$(mode shared/program)" 6757 "before"
must "writing" as 1002 sh -c 'echo x >>shared/program'
is "$(mode shared/program)" 757 "takes its set-id bits away"
must "chown" sh -c 'chmod 6755 shared/program && chown 1002 shared/program'
is "$(( 0$(mode shared/program) & 06000 ))" 0 "takes them away too"

must "touch by the owner sets any time" as 1001 touch -d '2001-02-03 04:05:06' shared/mine
must_fail "by another it does not" as 1003 touch -d '2001-02-03 04:05:06' shared/mine
must "one who may write sets it to now" sh -c 'chmod 666 shared/mine && setpriv --reuid=1003 --regid=1003 --clear-groups touch shared/mine'
must_fail "a read-only folder takes no file" as 1002 sh -c 'echo x >layer/new'
must "root writes where no bit allows it" sh -c 'echo root >>layer/nothing && test "$(tail -n 1 layer/nothing)" = root'
is "$(owner layer/nothing) $(mode layer/nothing)" "1001:1001 0" "and the file keeps its owner and mode"
must_fail "its owner opens it no more" as 1001 cat layer/nothing
must_fail "test -r says no where reading is denied" as 1002 test -r layer/private
must "test -w says yes to the owner" as 1001 test -w layer/private

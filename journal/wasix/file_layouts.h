// Where the fields of the records of the file system lie (value_layouts.h).
#pragma once

#include "journal/wasix/entries.h"
#include "journal/wasix/value_layouts.h"

namespace strata::journal::wasix {

template <>
struct Layout<FileDescriptorSeekV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "offset", e.offset);
    field(4, "whence", e.whence);
  }
};

template <>
struct Layout<FileDescriptorWriteV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(16, "fd", e.fd);
    field(8, "offset", e.offset);
    field(0, "data", e.data);
    field(20, "is_64bit", e.is_64bit);
  }
};

template <>
struct Layout<OpenFileDescriptorV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "dirfd", e.dirfd);
    field(8, "dirflags", e.dirflags);
    field(32, "path", e.path);
    field(14, "o_flags", e.o_flags);
    field(16, "fs_rights_base", e.fs_rights_base);
    field(24, "fs_rights_inheriting", e.fs_rights_inheriting);
    field(12, "fs_flags", e.fs_flags);
  }
};

template <>
struct Layout<CloseFileDescriptorV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "fd", e.fd); }
};

template <>
struct Layout<RenumberFileDescriptorV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "old_fd", e.old_fd);
    field(4, "new_fd", e.new_fd);
  }
};

template <>
struct Layout<DuplicateFileDescriptorV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "original_fd", e.original_fd);
    field(4, "copied_fd", e.copied_fd);
  }
};

template <>
struct Layout<CreateDirectoryV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "path", e.path);
  }
};

template <>
struct Layout<RemoveDirectoryV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "path", e.path);
  }
};

template <>
struct Layout<PathSetTimesV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "flags", e.flags);
    field(8, "path", e.path);
    field(16, "st_atim", e.st_atim);
    field(24, "st_mtim", e.st_mtim);
    field(32, "fst_flags", e.fst_flags);
  }
};

template <>
struct Layout<FileDescriptorSetTimesV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "st_atim", e.st_atim);
    field(16, "st_mtim", e.st_mtim);
    field(4, "fst_flags", e.fst_flags);
  }
};

template <>
struct Layout<FileDescriptorSetSizeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "st_size", e.st_size);
  }
};

template <>
struct Layout<FileDescriptorSetFlagsV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "flags", e.flags);
  }
};

template <>
struct Layout<FileDescriptorSetRightsV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "fs_rights_base", e.fs_rights_base);
    field(16, "fs_rights_inheriting", e.fs_rights_inheriting);
  }
};

template <>
struct Layout<FileDescriptorAdviseV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "offset", e.offset);
    field(16, "len", e.len);
    field(24, "advice", e.advice);
  }
};

template <>
struct Layout<FileDescriptorAllocateV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(8, "offset", e.offset);
    field(16, "len", e.len);
  }
};

template <>
struct Layout<CreateHardLinkV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "old_fd", e.old_fd);
    field(4, "old_path", e.old_path);
    field(12, "old_flags", e.old_flags);
    field(16, "new_fd", e.new_fd);
    field(20, "new_path", e.new_path);
  }
};

template <>
struct Layout<CreateSymbolicLinkV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(4, "old_path", e.old_path);
    field(0, "fd", e.fd);
    field(12, "new_path", e.new_path);
  }
};

template <>
struct Layout<UnlinkFileV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "path", e.path);
  }
};

template <>
struct Layout<PathRenameV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "old_fd", e.old_fd);
    field(4, "old_path", e.old_path);
    field(12, "new_fd", e.new_fd);
    field(16, "new_path", e.new_path);
  }
};

template <>
struct Layout<ChangeDirectoryV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "path", e.path); }
};

template <>
struct Layout<EpollCreateV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "fd", e.fd); }
};

template <>
struct Layout<EpollCtlV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "epfd", e.epfd);
    field(4, "op", e.op);
    field(8, "fd", e.fd);
    field(16, "event", e.event);
  }
};

template <>
struct Layout<CreatePipeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "read_fd", e.read_fd);
    field(4, "write_fd", e.write_fd);
  }
};

template <>
struct Layout<CreateEventV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "initial_val", e.initial_val);
    field(8, "flags", e.flags);
    field(12, "fd", e.fd);
  }
};

template <>
struct Layout<OpenFileDescriptorV2> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "dirfd", e.dirfd);
    field(8, "dirflags", e.dirflags);
    field(40, "path", e.path);
    field(16, "o_flags", e.o_flags);
    field(24, "fs_rights_base", e.fs_rights_base);
    field(32, "fs_rights_inheriting", e.fs_rights_inheriting);
    field(12, "fs_flags", e.fs_flags);
    field(14, "fd_flags", e.fd_flags);
  }
};

template <>
struct Layout<DuplicateFileDescriptorV2> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "original_fd", e.original_fd);
    field(4, "copied_fd", e.copied_fd);
    field(8, "cloexec", e.cloexec);
  }
};

template <>
struct Layout<FileDescriptorSetFdFlagsV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "flags", e.flags);
  }
};

}  // namespace strata::journal::wasix

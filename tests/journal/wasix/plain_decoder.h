// A decoder of the records of the file system that shares nothing with the one that is tested: each field's place is
// written out from the description of the format. It is for records that are whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace strata::journal::wasix::plain {

struct Record {
  unsigned type = 0;
  std::map<std::string, std::string> fields;             // numbers in decimal digits, bytes in hexadecimal ones
  std::vector<std::uint64_t> positions_of_byte_strings;  // in the file
};

inline bool IsFileSystemRecord(unsigned type) {
  return type == 5 || type == 6 || (type >= 10 && type <= 27) || (type >= 61 && type <= 63);
}

class Payload {
 public:
  Payload(std::string bytes, std::size_t root_size, std::uint64_t position, Record& record)
      : bytes_(std::move(bytes)), root_(bytes_.size() - root_size), position_(position), record_(record) {}

  void U8(std::size_t at, const char* name) { record_.fields[name] = std::to_string(Number(root_ + at, 1)); }
  void U16(std::size_t at, const char* name) { record_.fields[name] = std::to_string(Number(root_ + at, 2)); }
  void U32(std::size_t at, const char* name) { record_.fields[name] = std::to_string(Number(root_ + at, 4)); }
  void U64(std::size_t at, const char* name) { record_.fields[name] = std::to_string(Number(root_ + at, 8)); }
  void I64(std::size_t at, const char* name) {
    record_.fields[name] = std::to_string(static_cast<std::int64_t>(Number(root_ + at, 8)));
  }
  void Bytes(std::size_t at, const char* name) {
    const auto distance = static_cast<std::int32_t>(Number(root_ + at, 4));
    const std::size_t begin = root_ + at - static_cast<std::size_t>(-std::int64_t{distance});
    record_.positions_of_byte_strings.push_back(position_ + begin);
    std::string hex;
    for (const char c : bytes_.substr(begin, Number(root_ + at + 4, 4))) {
      hex += "0123456789abcdef"[static_cast<unsigned char>(c) / 16];
      hex += "0123456789abcdef"[static_cast<unsigned char>(c) % 16];
    }
    record_.fields[name] = hex;
  }

 private:
  std::uint64_t Number(std::size_t at, int size) const {
    std::uint64_t number = 0;
    for (int i = size; i-- > 0;)
      number = number * 256 + static_cast<unsigned char>(bytes_.at(at + static_cast<std::size_t>(i)));
    return number;
  }

  std::string bytes_;
  std::size_t root_;
  std::uint64_t position_;
  Record& record_;
};

// `bytes`: header and payload of one record, whose header lies at `position`. False for what is no such record.
inline bool Decode(const std::string& bytes, std::uint64_t position, Record& record) {
  if (bytes.size() < 8) return false;
  const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(bytes[i])}; };
  record.type = static_cast<unsigned>(byte(0) << 8 | byte(1));
  const std::uint64_t size = byte(2) << 40 | byte(3) << 32 | byte(4) << 24 | byte(5) << 16 | byte(6) << 8 | byte(7);
  if (size != bytes.size() - 8) return false;
  const auto payload = [&](std::size_t root_size) { return Payload(bytes.substr(8), root_size, position + 8, record); };
  switch (record.type) {
    case 5: {
      Payload p = payload(16);
      p.U32(0, "fd"), p.U8(4, "whence"), p.I64(8, "offset");
      return true;
    }
    case 6: {
      Payload p = payload(24);
      p.Bytes(0, "data"), p.U64(8, "offset"), p.U32(16, "fd"), p.U8(20, "is_64bit");
      return true;
    }
    case 10: {
      Payload p = payload(40);
      p.U32(0, "fd"), p.U32(4, "dirfd"), p.U32(8, "dirflags"), p.U16(12, "fs_flags.bits"), p.U16(14, "o_flags.bits");
      p.U64(16, "fs_rights_base.bits"), p.U64(24, "fs_rights_inheriting.bits"), p.Bytes(32, "path");
      return true;
    }
    case 61: {
      Payload p = payload(48);
      p.U32(0, "fd"), p.U32(4, "dirfd"), p.U32(8, "dirflags"), p.U16(12, "fs_flags.bits"), p.U16(14, "fd_flags.bits");
      p.U16(16, "o_flags.bits"), p.U64(24, "fs_rights_base.bits"), p.U64(32, "fs_rights_inheriting.bits");
      p.Bytes(40, "path");
      return true;
    }
    case 11: {
      Payload p = payload(8);
      p.U32(0, "fd");
      return true;
    }
    case 12: {
      Payload p = payload(8);
      p.U32(0, "old_fd"), p.U32(4, "new_fd");
      return true;
    }
    case 13: {
      Payload p = payload(8);
      p.U32(0, "original_fd"), p.U32(4, "copied_fd");
      return true;
    }
    case 62: {
      Payload p = payload(16);
      p.U32(0, "original_fd"), p.U32(4, "copied_fd"), p.U8(8, "cloexec");
      return true;
    }
    case 14:
    case 15:
    case 25: {
      Payload p = payload(16);
      p.U32(0, "fd"), p.Bytes(4, "path");
      return true;
    }
    case 16: {
      Payload p = payload(40);
      p.U32(0, "fd"), p.U32(4, "flags"), p.Bytes(8, "path"), p.U64(16, "st_atim"), p.U64(24, "st_mtim");
      p.U16(32, "fst_flags.bits");
      return true;
    }
    case 17: {
      Payload p = payload(24);
      p.U32(0, "fd"), p.U16(4, "fst_flags.bits"), p.U64(8, "st_atim"), p.U64(16, "st_mtim");
      return true;
    }
    case 18: {
      Payload p = payload(16);
      p.U32(0, "fd"), p.U64(8, "st_size");
      return true;
    }
    case 19:
    case 63: {
      Payload p = payload(8);
      p.U32(0, "fd"), p.U16(4, "flags.bits");
      return true;
    }
    case 20: {
      Payload p = payload(24);
      p.U32(0, "fd"), p.U64(8, "fs_rights_base.bits"), p.U64(16, "fs_rights_inheriting.bits");
      return true;
    }
    case 21: {
      Payload p = payload(32);
      p.U32(0, "fd"), p.U64(8, "offset"), p.U64(16, "len"), p.U8(24, "advice");
      return true;
    }
    case 22: {
      Payload p = payload(24);
      p.U32(0, "fd"), p.U64(8, "offset"), p.U64(16, "len");
      return true;
    }
    case 23: {
      Payload p = payload(32);
      p.U32(0, "old_fd"), p.Bytes(4, "old_path"), p.U32(12, "old_flags"), p.U32(16, "new_fd"), p.Bytes(20, "new_path");
      return true;
    }
    case 24: {
      Payload p = payload(24);
      p.U32(0, "fd"), p.Bytes(4, "old_path"), p.Bytes(12, "new_path");
      return true;
    }
    case 26: {
      Payload p = payload(24);
      p.U32(0, "old_fd"), p.Bytes(4, "old_path"), p.U32(12, "new_fd"), p.Bytes(16, "new_path");
      return true;
    }
    case 27: {
      Payload p = payload(8);
      p.Bytes(0, "path");
      return true;
    }
    default:
      return false;
  }
}

}  // namespace strata::journal::wasix::plain

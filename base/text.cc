#include "base/text.h"

namespace strata {

std::size_t ShownSequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) >= 0xf0 && byte(0) < 0xf5   ? 4
                           : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                           : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                                                               : 0;
  if (size == 0 || text.size() < size) return 0;
  char32_t point = byte(0) & (0x7f >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  const bool too_long = (size == 3 && point < 0x800) || (size == 4 && point < 0x10000);
  const bool steers = point < 0xa0 || (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  const bool none = point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff);
  return too_long || steers || none ? 0 : size;
}

}  // namespace strata

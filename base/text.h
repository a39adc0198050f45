// Text that somebody will look at: what of some bytes can be shown as it is.
#pragma once

#include <cstddef>
#include <string_view>

namespace strata {

// The length of the UTF-8 sequence of more than one byte that `text`, which is not empty, begins with, and that a
// terminal only shows; 0 for any other: no UTF-8, control characters (U+0080 to U+009F), what ends a line or turns the
// direction of writing (U+2028 to U+202E, U+2066 to U+2069).
std::size_t ShownSequence(std::string_view text);

}  // namespace strata

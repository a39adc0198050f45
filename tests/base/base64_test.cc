#include "base/base64.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace strata {
namespace {

std::string Encoded(std::string_view bytes) {
  std::string text = "before ";
  AppendBase64(AsBytes(bytes), text);
  EXPECT_TRUE(text.starts_with("before "));
  return text.substr(7);
}

TEST(Base64, IsThatOfTheRfc) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Encoded(bytes), text);
    std::vector<std::byte> decoded;
    EXPECT_TRUE(DecodeBase64(text, decoded));
    EXPECT_EQ(AsText(decoded), bytes);
  }
}

TEST(Base64, ComesBackAsItWas) {
  std::mt19937 random(5);
  for (std::size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    std::vector<std::byte> decoded;
    ASSERT_TRUE(DecodeBase64(Encoded(bytes), decoded));
    EXPECT_EQ(AsText(decoded), bytes);
  }
}

TEST(Base64, WhatIsNotInItsOneRightFormIsRefused) {
  for (const std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "====", "=", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm9-",
                                      "Zm9_", "Zg==Zg==", "Z===", "Zm=v"}) {
    std::vector<std::byte> decoded;
    EXPECT_FALSE(DecodeBase64(text, decoded)) << text;
  }
}

}  // namespace
}  // namespace strata

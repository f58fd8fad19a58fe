#include "net/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::net {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(Url, EscapesBecomeTheirBytes) {
  EXPECT_EQ(percent_decode("a%20b%2Fc%ec%83%81"), "a b/c상");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
}

TEST(Url, WhatIsNoTextIsRefused) {
  for (const auto* text : {"%", "%2", "%zz", "%00", "%ff", "%c0%af", "%ed%a0%80"})
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
}

TEST(Url, EncodingReadsBack) {
  EXPECT_EQ(percent_encode("a b/상.~"), "a%20b%2F%EC%83%81.~");
  EXPECT_EQ(percent_decode(percent_encode("%&=?#")), "%&=?#");
}

TEST(Url, AQueryIsPairsInOrder) {
  EXPECT_THAT(*parse_query("a=1&b=x%3Dy=z&&c&a=2"),
              ElementsAre(Pair("a", "1"), Pair("b", "x=y=z"), Pair("c", ""), Pair("a", "2")));
  EXPECT_EQ(parse_query("a=%"), std::nullopt);
  EXPECT_TRUE(parse_query("")->empty());
}

}  // namespace
}  // namespace pawl::net

#include "runtime/emulator/function_reference.h"

#include <gtest/gtest.h>

namespace thaw::emulator {
namespace {

TEST(FunctionReference, FindsNameAndQualifierInWhateverNamesAFunction) {
  const auto expect = [](std::string_view reference, std::string_view qualifier) {
    const auto found = parse_function_reference(reference, "");
    ASSERT_TRUE(found) << reference;
    EXPECT_EQ(found->name, "chat") << reference;
    EXPECT_EQ(found->qualifier, qualifier) << reference;
  };
  expect("chat", "");
  expect("chat:PROD", "PROD");
  expect("chat:$LATEST", "$LATEST");
  expect("function:chat", "");
  expect("123456789012:chat", "");
  expect("123456789012:function:chat", "");
  expect("123456789012:function:chat:7", "7");
  expect("arn:aws:lambda:us-east-1:123456789012:function:chat", "");
  expect("arn:aws-cn:lambda:cn-north-1:123456789012:function:chat:PROD", "PROD");
}

TEST(FunctionReference, TakesTheQuerysQualifierWhereItContradictsNothing) {
  EXPECT_EQ(parse_function_reference("chat", "PROD")->qualifier, "PROD");
  EXPECT_EQ(parse_function_reference("chat:PROD", "PROD")->qualifier, "PROD");
  const auto differing = parse_function_reference("chat:PROD", "TEST");
  ASSERT_FALSE(differing);
  EXPECT_EQ(differing.error().message,
            "The derived qualifier from the function name does not match the specified qualifier.");
}

TEST(FunctionReference, RefusesWhatNamesNoFunction) {
  for (const char* reference :
       {"", "a b", "a/b", "a:", ":a", "a:b:c", "arn:aws:lambda:us-east-1:1:function:chat",
        "arn:aws:s3:us-east-1:123456789012:function:chat", "arn:aws:lambda:us-east-1",
        "arn:aws:lambda:us-east-1:123456789012:function:chat:a:b", "chat:a b",
        "function:", "123456789012:", "123456789012:function:"}) {
    const auto found = parse_function_reference(reference, "");
    ASSERT_FALSE(found) << reference;
    EXPECT_EQ(found.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(parse_function_reference(std::string(65, 'a'), ""));
  EXPECT_TRUE(parse_function_reference(std::string(64, 'a'), ""));
  EXPECT_FALSE(parse_function_reference("chat:" + std::string(129, 'a'), ""));
  EXPECT_FALSE(parse_function_reference("chat", "a b"));
}

}  // namespace
}  // namespace thaw::emulator

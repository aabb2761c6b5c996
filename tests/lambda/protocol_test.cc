#include "runtime/lambda/protocol.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/random.h"

namespace thaw::lambda {
namespace {

TEST(Base64, IsRfc4648s) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xff\xfe\xfd", "//79"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, RefusesWhatIsNot) {
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zg==Zg==", "Zm9 ", "Zm9_", "Zh==", "Zm9="}) {
    EXPECT_EQ(base64_decode(bad), std::nullopt) << bad;
  }
}

TEST(Base64, RoundTripsAnyBytes) {
  Random random(7);
  for (std::size_t bytes = 0; bytes < 300; ++bytes) {
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(random.next());
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  }
}

TEST(ErrorDocument, TakesAnyBytes) {
  const auto json = nlohmann::json::parse(error_document({"Function.X", "a\"\n\xff"}));
  EXPECT_EQ(json["errorMessage"], "a\"\n\xef\xbf\xbd");
  EXPECT_EQ(json["stackTrace"], nlohmann::json::array());
}

TEST(HeaderErrorType, PassesWhatThePlatformTakes) {
  for (const char* good : {"Runtime.ExitError", "Function.UnsupportedEvent", "Runtime.Ab"}) {
    EXPECT_EQ(header_error_type(good), good);
  }
  for (const char* bad : {"", "Runtime", "Runtime.", "Runtime.x", "Runtime.A", "Function.No Way",
                          "Function.A1", "Sandbox.Timedout", "Function.A\r\nX: y"}) {
    EXPECT_EQ(header_error_type(bad), "Function.Unknown") << bad;
  }
}

TEST(HttpPrelude, KeepsAContentTypeOfItsOwn) {
  handler::StreamHead head;
  head.http = handler::StreamHead::Http{200, {{"Content-Type", "text/html"}}};
  EXPECT_EQ(http_prelude(head),
            std::string(R"({"statusCode":200,"headers":{"content-type":"text/html"}})") +
                std::string(8, '\0'));
}

}  // namespace
}  // namespace thaw::lambda

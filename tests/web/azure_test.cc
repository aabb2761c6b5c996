// Azure Functions' custom handlers, requests forwarded and not.
#include "runtime/web/azure.h"

#include "web_fixture.h"

namespace thaw::web {
namespace {

class Azure : public Web {
 protected:
  Azure() {
    start();
    open({std::nullopt, true});
  }
  static std::string envelope(std::string_view data) {
    return cat(R"({"Data":{)", data,
               R"(},"Metadata":{"sys":{"MethodName":"f","RandGuid":"3c2f-77"}}})");
  }
};

TEST_F(Azure, AnswersForwardedRequestsBelowItsPrefix) {
  EXPECT_EQ(request("POST", "/api/predict", kPrompt).status, 200);
  EXPECT_EQ(request("POST", "/predict", kPrompt).status, 200);
  EXPECT_EQ(request("GET", "/api/v1/models").status, 200);
  EXPECT_EQ(request("GET", "/apiary").status, 404);
}

TEST_F(Azure, AnswersAnHttpTriggerInItsEnvelope) {
  const http::Response answer = request(
      "POST", "/Chat",
      envelope(R"("req":{"Url":"https://x.azurewebsites.net/api/predict?a=1","Method":"POST",)"
               R"("Query":{"a":"1"},"Headers":{"Content-Type":["application/json"]},)"
               R"("Params":{},"Body":"{\"prompt\":\"hi\"}"})"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(handler::at(answer.body, "/Outputs/res/statusCode"), "200");
  EXPECT_EQ(handler::at(answer.body, "/Outputs/res/headers/x-request-id"), "\"3c2f-77\"");
  EXPECT_NE(handler::at(answer.body, "/Outputs/res/body").find("Hello, world"), std::string::npos);
  EXPECT_EQ(handler::at(answer.body, "/ReturnValue"), "null");
  EXPECT_EQ(handler::at(answer.body, "/Logs"), "[]");
  // A body may be JSON itself, and a client's mistake is an answer.
  const http::Response refused =
      request("POST", "/Chat",
              envelope(R"("req":{"Url":"http://x/api/predict","Method":"POST",)"
                       R"("Headers":{"Content-Type":["text/plain"]},"Body":{"prompt":"hi"}})"));
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(handler::at(refused.body, "/Outputs/res/statusCode"), "415");
}

TEST_F(Azure, AnswersOtherTriggersInTheReturnValue) {
  for (const char* data : {
           R"("queueItem":{"prompt":"hi"})",
           R"("queueItem":"{\"prompt\":\"hi\"}")",
           R"("queueItem":"\"{\\\"prompt\\\":\\\"hi\\\"}\"")",
           R"("queueItem":"hi")",
           R"("queueItem":"\"hi\"")",
       }) {
    generator_.requests.clear();
    const http::Response answer = request("POST", "/Queue", envelope(data));
    EXPECT_EQ(answer.status, 200) << data;
    EXPECT_EQ(handler::at(answer.body, "/ReturnValue/text"), "\"Hello, world\"") << answer.body;
    ASSERT_EQ(generator_.requests.size(), 1u);
    const auto& messages = std::get<std::vector<text::Message>>(generator_.requests[0].prompt);
    EXPECT_EQ(messages.back().content, "hi") << data;
  }
}

TEST_F(Azure, FailsATriggerSoThatItComesAgain) {
  const http::Response answer = request("POST", "/Queue", envelope(R"("item":{"what":1})"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(handler::at(answer.body, "/Logs/0").find("Function.UnsupportedEvent"),
            std::string::npos);
  EXPECT_EQ(handler::at(answer.body, "/ReturnValue"), "null");
  EXPECT_EQ(request("POST", "/Queue", envelope("")).status, 500);
}

TEST_F(Azure, TakesAnEnvelopeForOneOnlyThere) {
  EXPECT_FALSE(is_azure_invocation({"GET", {}, {}, {}, envelope("")}));
  EXPECT_FALSE(is_azure_invocation({"POST", {}, {}, {}, R"({"Data":{},"x":1})"}));
  EXPECT_FALSE(is_azure_invocation({"POST", {}, {}, {}, R"({"Data":{},"Metadata":)"}));
  EXPECT_TRUE(is_azure_invocation({"POST", {}, {}, {}, envelope("")}));
}

}  // namespace
}  // namespace thaw::web

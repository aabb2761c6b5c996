// CloudEvents: as events of a platform, and over HTTP in each of the three modes.
#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/cloud_events_http.h"

namespace thaw::handler {
namespace {

constexpr std::string_view kEvent =
    R"({"specversion":"1.0","type":"a.b","source":"/c","id":"7","data":{"prompt":"Hi"}})";

HttpOutcome post(House& house, event::Pairs headers, std::string body, std::string path = "/") {
  Handler handler(house.generator, house.manifest, house.clock, {house.gate, nullptr});
  event::HttpRequest request;
  request.method = "POST";
  request.paths = {std::move(path)};
  request.headers = std::move(headers);
  request.body = std::move(body);
  return handler.handle_http(request, {house.request_id, house.deadline}, house.responder);
}

std::string header(const HttpOutcome& outcome, std::string_view name) {
  for (const auto& [key, value] : outcome.response.headers) {
    if (key == name) return value;
  }
  return "";
}

std::string prompt_of(const House& house, std::size_t index = 0) {
  return std::get<std::vector<text::Message>>(house.generator.requests.at(index).prompt)
      .back()
      .content;
}

TEST(CloudEvents, OneIsAnsweredByOne) {
  House house;
  house.clock.advance(std::chrono::seconds(1709210096));
  const Outcome outcome = house.handle(kEvent);
  ASSERT_FALSE(outcome.error.has_value());
  EXPECT_TRUE(outcome.body.starts_with(
      R"({"specversion":"1.0","id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd-0","source":"/thaw",)"
      R"("type":"thaw.answer","time":"2024-02-29T12:34:56Z","causeid":"7",)"
      R"("datacontenttype":"application/json","data":{"text":"Hello, world",)"))
      << outcome.body;
  EXPECT_EQ(prompt_of(house), "Hi");
}

TEST(CloudEvents, DataMayBeTextOrBase64) {
  House house;
  house.handle(R"({"specversion":"1.0","type":"t","source":"s","id":"1","data":"words"})");
  house.handle(R"({"specversion":"1.0","type":"t","source":"s","id":"1","data_base64":"w6k="})");
  house.handle(R"({"specversion":"1.0","type":"t","source":"s","id":"1"})");
  EXPECT_EQ(prompt_of(house, 0), "words");
  EXPECT_EQ(prompt_of(house, 1), "\u00e9");
  EXPECT_EQ(prompt_of(house, 2), R"({"specversion":"1.0","type":"t","source":"s","id":"1"})");
}

TEST(CloudEvents, OfABatchEachFailsAlone) {
  House house;
  const Outcome outcome = house.handle(
      R"([{"specversion":"1.0","type":"t","source":"s","id":"1","data":"a"},
          {"specversion":"0.3","type":"t","source":"s","id":"2","data":"b"},
          {"specversion":"1.0","type":"t","source":"s","data":"c"},
          {"specversion":"1.0","type":"t","source":"s","id":"4","data":"d","data_base64":"YQ=="},
          {"specversion":"1.0","type":"t","source":"s","id":"5","data_base64":"!"}])");
  ASSERT_FALSE(outcome.error.has_value());
  EXPECT_EQ(at(outcome.body, "/0/type"), "\"thaw.answer\"");
  for (const std::string_view i : {"1", "2", "3", "4"}) {
    EXPECT_EQ(at(outcome.body, "/" + std::string(i) + "/type"), "\"thaw.error\"") << i;
  }
  EXPECT_EQ(at(outcome.body, "/1/data/error/message"),
            "\"event 'specversion': found another version, wanted 1.0\"");
  EXPECT_EQ(at(outcome.body, "/1/causeid"), "\"2\"");
  EXPECT_EQ(house.generator.requests.size(), 1u);
}

TEST(CloudEventsHttp, BinaryIsAnsweredInBinary) {
  House house;
  const HttpOutcome outcome = post(house,
                                   {{"Ce-SpecVersion", "1.0"},
                                    {"ce-type", "a.b"},
                                    {"ce-source", "/c%20d"},
                                    {"ce-id", "x \"y%25"},
                                    {"Content-Type", "application/json"}},
                                   R"({"prompt":"Hi","max_tokens":4})");
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(header(outcome, "ce-type"), "thaw.answer");
  EXPECT_EQ(header(outcome, "ce-specversion"), "1.0");
  EXPECT_EQ(header(outcome, "ce-causeid"), "x%20%22y%25");
  EXPECT_EQ(header(outcome, "content-type"), "application/json");
  EXPECT_EQ(at(outcome.response.body, "/text"), "\"Hello, world\"");
  EXPECT_EQ(house.generator.requests.at(0).max_tokens, 4u);
}

TEST(CloudEventsHttp, BinaryBodiesMayBeAnything) {
  House house;
  const event::Pairs headers = {
      {"ce-specversion", "1.0"}, {"ce-type", "t"}, {"ce-source", "s"}, {"ce-id", "1"}};
  const auto with = [&](std::string type) {
    event::Pairs all = headers;
    all.emplace_back("content-type", std::move(type));
    return all;
  };
  EXPECT_EQ(post(house, with("text/plain; charset=utf-8"), "words").response.status, 200);
  EXPECT_EQ(prompt_of(house), "words");
  EXPECT_EQ(post(house, with("application/octet-stream"), "\xFF").response.status, 400);
  EXPECT_EQ(post(house, with("application/json"), "{").response.status, 400);
  EXPECT_EQ(post(house, headers, "").response.status, 200) << "no data: what happened is told";
}

TEST(CloudEventsHttp, StructuredIsAnsweredInStructured) {
  House house;
  const HttpOutcome outcome =
      post(house, {{"content-type", "Application/CloudEvents+JSON; charset=utf-8"}},
           std::string(kEvent));
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(header(outcome, "content-type"), "application/cloudevents+json");
  EXPECT_EQ(at(outcome.response.body, "/data/text"), "\"Hello, world\"");
}

TEST(CloudEventsHttp, ABatchIsAnsweredByABatch) {
  House house;
  const event::Pairs headers = {{"content-type", "application/cloudevents-batch+json"}};
  const HttpOutcome outcome = post(house, headers, "[" + std::string(kEvent) + "]");
  EXPECT_EQ(header(outcome, "content-type"), "application/cloudevents-batch+json");
  EXPECT_EQ(at(outcome.response.body, "/0/data/text"), "\"Hello, world\"");
  EXPECT_EQ(post(house, headers, "[]").response.body, "[]");
  EXPECT_EQ(post(house, headers, std::string(kEvent)).response.status, 400);
}

TEST(CloudEventsHttp, WhatGoesWrongIsAStatusThatBrokersKnow) {
  House house;
  const event::Pairs headers = {{"content-type", "application/cloudevents+json"}};
  EXPECT_EQ(post(house, headers, "{}").response.status, 400);
  EXPECT_EQ(post(house, headers, "[]").response.status, 400);
  for (const auto& [code, status] : {std::pair(Code::kLimit, 400),
                                     {Code::kUnavailable, 503},
                                     {Code::kDeadline, 504},
                                     {Code::kCorrupt, 500}}) {
    house.generator.error = fail(code, "what happened");
    const HttpOutcome outcome = post(house, headers, std::string(kEvent));
    EXPECT_EQ(outcome.response.status, status);
    EXPECT_EQ(at(outcome.response.body, "/error/message"), "\"what happened\"");
  }
  house.manifest.event_bytes_max = 1024;
  EXPECT_EQ(post(house, headers, std::string(2000, ' ')).response.status, 413);
}

TEST(CloudEventsHttp, OurOwnPathsAreForRequests) {
  House house;
  EXPECT_EQ(
      post(house, {{"ce-specversion", "1.0"}, {"ce-id", "1"}}, R"({"prompt":"Hi"})", "/predict")
          .response.body.substr(0, 8),
      R"({"text":)");
  EXPECT_EQ(post(house, {}, "{}").response.status, 404);
}

}  // namespace
}  // namespace thaw::handler

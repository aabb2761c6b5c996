#include "runtime/triggers/events.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::triggers {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAccount = "123456789012";

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string milliseconds(Clock::Wall time) {
  return cat(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

// A key as S3 writes it: as in a query, but '/' stays.
std::string encoded_key(std::string_view key) {
  std::string out;
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.*/!'()").find(c) != std::string_view::npos;
    constexpr std::string_view kHex = "0123456789ABCDEF";
    const auto byte = static_cast<std::uint8_t>(c);
    if (plain) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

// One block of 64 bytes (RFC 1321).
void md5_block(std::array<std::uint32_t, 4>& state, const char* block) {
  constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  auto [a, b, c, d] = state;
  for (unsigned i = 0; i < 64; ++i) {
    std::uint32_t f = 0;
    unsigned word = 0;
    switch (i / 16) {
      case 0: f = (b & c) | (~b & d), word = i; break;
      case 1: f = (d & b) | (~d & c), word = (5 * i + 1) % 16; break;
      case 2: f = b ^ c ^ d, word = (3 * i + 5) % 16; break;
      default: f = c ^ (b | ~d), word = 7 * i % 16; break;
    }
    std::uint32_t value = 0;
    std::memcpy(&value, block + std::size_t{4} * word, sizeof value);
    const double sine = std::fabs(std::sin(static_cast<double>(i + 1)));
    const auto constant = static_cast<std::uint32_t>(std::floor(sine * 4294967296.0));
    const std::uint32_t turned = std::rotl(a + f + constant + value, kShifts[i / 16][i % 4]);
    a = d;
    d = c;
    c = b;
    b += turned;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
}

}  // namespace

std::string iso_seconds(Clock::Wall time) {
  const std::string text = emulator::iso_time(time);
  return text.substr(0, 19) + "Z";
}

std::string md5(std::string_view bytes) {
  std::array<std::uint32_t, 4> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  while (bytes.size() >= 64) {
    md5_block(state, bytes.data());
    bytes.remove_prefix(64);
  }
  std::string tail(bytes);
  tail += '\x80';
  while (tail.size() % 64 != 56) tail += '\0';
  tail.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  for (std::size_t at = 0; at < tail.size(); at += 64) md5_block(state, tail.data() + at);
  std::string hex;
  for (const std::uint32_t word : state) {
    for (int byte = 0; byte < 4; ++byte) {
      const std::uint32_t value = (word >> (8 * byte)) & 255;
      hex += "0123456789abcdef"[value >> 4];
      hex += "0123456789abcdef"[value & 15];
    }
  }
  return hex;
}

std::string sqs_event(std::string_view queue, std::string_view region,
                      const std::vector<Message>& messages) {
  Json records = Json::array();
  for (const Message& message : messages) {
    records.push_back(
        {{"messageId", message.id},
         {"receiptHandle", cat(message.id, "#", message.receives)},
         {"body", message.body},
         {"attributes",
          {{"ApproximateReceiveCount", cat(message.receives)},
           {"SentTimestamp", milliseconds(message.sent)},
           {"SenderId", "AIDATHAWEMULATOR"},
           {"ApproximateFirstReceiveTimestamp", milliseconds(message.first_received)}}},
         {"messageAttributes", Json::object()},
         {"md5OfBody", md5(message.body)},
         {"eventSource", "aws:sqs"},
         {"eventSourceARN", cat("arn:aws:sqs:", region, ":", kAccount, ":", queue)},
         {"awsRegion", region}});
  }
  return dump({{"Records", std::move(records)}});
}

std::optional<std::set<std::string>> failed_messages(std::string_view answer,
                                                     const std::vector<Message>& messages) {
  std::set<std::string> failed;
  if (answer.empty()) return failed;
  const Json json = Json::parse(answer, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  if (json.is_null() || (json.is_object() && !json.contains("batchItemFailures"))) return failed;
  if (!json.is_object()) return std::nullopt;
  const Json& list = json["batchItemFailures"];
  if (list.is_null()) return failed;
  if (!list.is_array()) return std::nullopt;
  for (const Json& item : list) {
    const auto id = item.is_object() ? item.find("itemIdentifier") : item.end();
    if (!item.is_object() || id == item.end() || !id->is_string()) return std::nullopt;
    const auto& text = id->get_ref<const std::string&>();
    const bool known = std::any_of(messages.begin(), messages.end(),
                                   [&](const Message& message) { return message.id == text; });
    if (!known) return std::nullopt;
    failed.insert(text);
  }
  return failed;
}

std::string s3_event(std::string_view bucket, std::string_view region, const Object& object,
                     Clock::Wall now, std::uint64_t sequence) {
  char sequencer[20];
  std::snprintf(sequencer, sizeof sequencer, "%018llX", static_cast<unsigned long long>(sequence));
  Json entry = {{"key", encoded_key(object.key)}, {"size", object.bytes}};
  if (!object.etag.empty()) entry["eTag"] = object.etag;
  entry["sequencer"] = sequencer;
  const Json record = {{"eventVersion", "2.1"},
                       {"eventSource", "aws:s3"},
                       {"awsRegion", region},
                       {"eventTime", emulator::iso_time(now)},
                       {"eventName", "ObjectCreated:Put"},
                       {"userIdentity", {{"principalId", "AWS:THAWEMULATOR"}}},
                       {"requestParameters", {{"sourceIPAddress", "127.0.0.1"}}},
                       {"responseElements", Json::object()},
                       {"s3",
                        {{"s3SchemaVersion", "1.0"},
                         {"configurationId", "thaw-emulator"},
                         {"bucket",
                          {{"name", bucket},
                           {"ownerIdentity", {{"principalId", "THAWEMULATOR"}}},
                           {"arn", cat("arn:aws:s3:::", bucket)}}},
                         {"object", std::move(entry)}}}};
  return dump({{"Records", Json::array({record})}});
}

std::string schedule_event(std::string_view rule, std::string_view region, Clock::Wall now,
                           std::string_view id) {
  return dump(
      {{"version", "0"},
       {"id", id},
       {"detail-type", "Scheduled Event"},
       {"source", "aws.events"},
       {"account", kAccount},
       {"time", iso_seconds(now)},
       {"region", region},
       {"resources", Json::array({cat("arn:aws:events:", region, ":", kAccount, ":rule/", rule)})},
       {"detail", Json::object()}});
}

}  // namespace thaw::triggers

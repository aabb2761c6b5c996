// The events of AWS's sources, as their functions get them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace thaw::triggers {

struct Message {
  std::string id;
  std::string body;
  std::uint32_t receives = 0;  // so far, this one counted
  Clock::Wall sent{}, first_received{};
};

// "2026-01-31T12:00:00Z", and hexadecimal MD5, which SQS and S3 tell of what they hold.
std::string iso_seconds(Clock::Wall time);
std::string md5(std::string_view bytes);

std::string sqs_event(std::string_view queue, std::string_view region,
                      const std::vector<Message>& messages);

// Which messages of a batch have failed, of what the function answered; nothing: all of them (what
// is no answer of this kind, or names a message that is not in the batch, fails the batch).
std::optional<std::set<std::string>> failed_messages(std::string_view answer,
                                                     const std::vector<Message>& messages);

struct Object {
  std::string key;  // with '/', not encoded
  std::uint64_t bytes = 0;
  std::string etag;  // empty: unknown
};
std::string s3_event(std::string_view bucket, std::string_view region, const Object& object,
                     Clock::Wall now, std::uint64_t sequence);

std::string schedule_event(std::string_view rule, std::string_view region, Clock::Wall now,
                           std::string_view id);

}  // namespace thaw::triggers

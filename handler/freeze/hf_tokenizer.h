// tokenizer.json and its companions, read into a TokenizerSource. Internal to hf_source.cc.
#pragma once

#include <string>

#include "base/result.h"
#include "handler/text/tokenizer.h"

namespace thaw::freeze {

// The texts of a model directory's files; empty where a file is missing.
struct HfTokenizerFiles {
  std::string tokenizer;          // tokenizer.json
  std::string tokenizer_config;   // tokenizer_config.json
  std::string generation_config;  // generation_config.json
  std::string config;             // config.json
  std::string chat_template;      // chat_template.jinja
};

struct HfTokenizer {
  text::TokenizerSource source;
  std::string chat_template;  // empty where there is none
};

// Errors: kCorrupt      not JSON, or fields of the wrong shape, named
//         kUnsupported  a model, pre-tokenizer or normaliser this build does not know, named
Result<HfTokenizer> read_hf_tokenizer(const HfTokenizerFiles& files);

}  // namespace thaw::freeze

#include "handler/freeze/tensor_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/str.h"

namespace thaw::freeze {
namespace {

using model::Role;

TEST(TensorNames, FindTheSameRolesInEveryFormat) {
  for (const TensorNames* names : {&kGgufNames, &kHuggingFaceNames}) {
    std::set<Role> found;
    for (const TensorNames::Name& of_model : names->of_model) {
      const auto place = find_tensor(*names, of_model.name);
      ASSERT_TRUE(place) << of_model.name;
      EXPECT_EQ(place->role, of_model.role);
      EXPECT_EQ(place->layer, 0u);
      found.insert(place->role);
    }
    for (const TensorNames::Name& of_layer : names->of_layer) {
      for (const std::uint32_t layer : {0u, 7u, 123u, 0xFFFFFFFFu}) {
        const auto place = find_tensor(*names, cat(names->layer_prefix, layer, ".", of_layer.name));
        ASSERT_TRUE(place) << of_layer.name;
        EXPECT_EQ(place->role, of_layer.role);
        EXPECT_EQ(place->layer, layer);
        EXPECT_FALSE(place->is_derived);
      }
      found.insert(of_layer.role);
    }
    EXPECT_EQ(found.size(), names->of_model.size() + names->of_layer.size());
  }
}

TEST(TensorNames, KnowWhatFollowsFromTheConfig) {
  for (const char* name : {"rope_freqs", "blk.3.attn_rot_embd"}) {
    const auto place = find_tensor(kGgufNames, name);
    ASSERT_TRUE(place) << name;
    EXPECT_TRUE(place->is_derived) << name;
  }
  const auto place = find_tensor(kHuggingFaceNames, "model.layers.3.self_attn.rotary_emb.inv_freq");
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->is_derived);
}

TEST(TensorNames, TakeNothingElse) {
  for (const std::string name :
       {"", "blk.", "blk.1", "blk.1.", "blk..attn_q.weight", "blk.-1.attn_q.weight",
        "blk.+1.attn_q.weight", "blk. 1.attn_q.weight", "blk.1attn_q.weight",
        "blk.4294967296.attn_q.weight", "blk.1.attn_q.weigh", "blk.1.attn_q.weights",
        "blk.1.token_embd.weight", "1.attn_q.weight", "attn_q.weight", "token_embd", "x.rope_freqs",
        "blk.0.ffn_gate_exps.weight", "model.norm.weight"}) {
    EXPECT_FALSE(find_tensor(kGgufNames, name)) << name;
  }
  EXPECT_FALSE(find_tensor(kHuggingFaceNames, "model.layers.1"));
  EXPECT_FALSE(find_tensor(kHuggingFaceNames, "model.layers.1.lm_head.weight"));
  EXPECT_FALSE(find_tensor(kHuggingFaceNames, "token_embd.weight"));
}

}  // namespace
}  // namespace thaw::freeze

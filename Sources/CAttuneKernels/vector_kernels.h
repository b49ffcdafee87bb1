// The kernels written once with compiler vectors of sixteen floats; every instruction set's file includes this text and
// the compiler splits the vectors as the machine needs. LANES and TILE_VECTORS shape the f32 tile, F16_LOAD/F16_STORE
// convert sixteen halves where the machine can.
#include "vector_functions.h"
#include "vector_rows.h"
#include "vector_tiles.h"

#ifndef TILE_4BIT
#define TILE_4BIT NULL
#endif

#ifndef TILE_4BIT_BF16
#define TILE_4BIT_BF16 NULL
#endif

#ifndef TILE_BF16_LINES
#define TILE_BF16_LINES NULL
#endif

#ifndef PAIR_BF16
#define PAIR_BF16 NULL
#endif

#ifndef MULTIPLY_ROUNDS_BF16
#define MULTIPLY_ROUNDS_BF16 NULL
#endif

#define VECTOR_TABLE(symbol, label, bf16_tile)                                                                        \
    const attune_kernels symbol = {                                                                                   \
        .name = label, .tall = TALL, .widen = widen, .narrow = narrow, .tile_f32 = tile_f32,                          \
        .tile_pairs = tile_pairs, .tile_4bit = TILE_4BIT, .tile_4bit_bf16 = TILE_4BIT_BF16, .tile_bf16 = bf16_tile,   \
        .tile_bf16_lines = TILE_BF16_LINES,                                                                           \
        .multiply_rounds = multiply_rounds, .multiply_rounds_bf16 = MULTIPLY_ROUNDS_BF16, .dot = dot, .max = row_max, \
        .finish_rows = finish_rows, .add = row_add,                                                                   \
        .scale = row_scale, .multiply = row_multiply, .multiply_add = multiply_add, .norm = norm,                     \
        .norm_dot = norm_dot, .norm_backward = norm_backward, .rotate = rotate, .gated = gated,                       \
        .gated_backward = gated_backward, .soften = soften, .soften_backward = soften_backward,                       \
        .pair_bf16 = PAIR_BF16, .exp_sum = exp_sum,                                                                   \
        .cap = cap, .logit_gradient = logit_gradient, .uniform = uniform, .mask = mask, .adamw = adamw,               \
        .transpose_block16 = transpose_block16, .transpose_block32 = transpose_block32, .pack_rows32 = pack_rows32,   \
        .pack_pairs16 = pack_pairs16, .widen_lines = widen_lines, .widen_pairs = widen_pairs,                         \
        .expand_4bit = expand_4bit, .screen_panel = screen_panel,                                                     \
    }

// What the C files share: the function table of an instruction set, the thread pool and scratch memory.
#ifndef ATTUNE_MACHINE_H
#define ATTUNE_MACHINE_H

#include "CAttuneKernels.h"

#include <stddef.h>
#include <string.h>

#define ATTUNE_PANEL 64  // columns of a panel
#define ATTUNE_TILE 6    // rows of a tile
#define ATTUNE_TALL 12   // rows of a tile at most 32 columns wide, where registers allow

// Tiles of many rows are past the compiler's own limit, and sums in memory would cost several times the arithmetic.
#define UNROLL _Pragma("clang loop unroll(full)")
#define INLINE static inline __attribute__((always_inline))

// Memory wanted soon.
typedef struct {
    const char *at;
    int64_t bytes;
} attune_wanted;

// One product of a batch-reduce list: rows[m]·panel over k.
typedef struct {
    const void *rows[ATTUNE_TALL];
    const void *panel;
    int64_t k;
    int64_t step;  // elements from k to k + 1 in a row, 2·step from pair to pair
    int64_t line;  // elements from k to k + 1 in the panel, for tile_f32 and tile_bf16_lines
    // A list or NULL: in the first product of a whole panel, tile_bf16 asks for one or two more of its lines with each pair.
    // What is listed last has lines enough for the whole tile.
    const attune_wanted *wanted;
    int32_t wanted_lines;
} attune_product;

// What one row of attention scores needs to become probabilities.
typedef struct {
    float scale, softcap;
    int64_t first, last;  // the keys of the block the row may see, last <= 64; none where first >= last
} attune_score_row;

typedef struct {
    float decay;                      // 1 − lr·weightDecay
    float beta1, beta2, one_minus_beta1, one_minus_beta2;
    float epsilon, step_size, root2;  // lr / bias1, √bias2
    float gradient_scale;
} attune_adamw_constants;

typedef void (*attune_tile_4bit)(
    float *acc, const void *const *rows, int64_t k, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t block, int32_t count, int32_t width, int32_t dtype, const attune_wanted *wanted);

struct attune_kernels {
    const char *name;
    int32_t tall;  // rows tile_f32 takes for width 1 and 2: ATTUNE_TALL or ATTUNE_TILE
    // Conversions between float32 and a compute type; rounding to nearest even.
    void (*widen)(float *out, const void *inp, int32_t dtype, int64_t n);
    void (*narrow)(void *out, int32_t dtype, const float *inp, int64_t n);

    // acc[m·stride + 0 ..< 16·width] = (what it holds when `accumulate`, else 0) + Σ over the products, k ascending;
    // rows 1…6 and width 1…4; for width 1 and 2 up to `tall` rows, evenly spaced when there are more than six.
    void (*tile_f32)(
        float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
        int32_t width);
    // tile_f32 with panels of bfloat16 k-pairs, widened in registers: the same sums without a float32 copy of the
    // panel; up to `tall` rows of any width.
    void (*tile_pairs)(
        float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
        int32_t width);
    // One to three float32 rows times a four-bit panel with scales [k/block][64], values rounded to a compute type (f32
    // or bf16): the sums tile_f32 gives over the expanded panel, at least of the first 16·width columns. Asks for two lines of
    // `wanted` with sixteen k. NULL where expanding first is as good.
    attune_tile_4bit tile_4bit;
    // The same for one to four bfloat16 rows: the sums tile_bf16 gives.
    attune_tile_4bit tile_4bit_bf16;
    // The same for bfloat16 operands in k-pairs, or NULL: then operands are widened and tile_f32 is used.
    void (*tile_bf16)(
        float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
        int32_t width);

    // tile_bf16 over a panel of single lines, `line` apart, paired in registers; where there is tile_bf16, else NULL.
    void (*tile_bf16_lines)(
        float *acc, int64_t stride, int32_t accumulate, const attune_product *product, int32_t rows, int32_t width);

    // `rounds` rounds of what tile_f32 does with every operand in a register; returns how many operations that was.
    int64_t (*multiply_rounds)(float *sink, int64_t rounds);
    // The same of tile_bf16, or NULL where there is none.
    int64_t (*multiply_rounds_bf16)(float *sink, int64_t rounds);
    // Sixteen lanes, summed in one fixed tree.
    float (*dot)(const float *a, const float *b, int64_t n);
    float (*max)(const float *x, int64_t n);
    // Rows of a type = residual (of a type) + scale·(acc + bias), acc [rows][64], n <= 64; bias, residual may be NULL.
    // Strides in elements.
    void (*finish_rows)(
        void *out, int32_t dtype, int64_t stride, const float *acc, const float *bias, const void *residual,
        int32_t residual_dtype, int64_t residual_stride, float scale, int32_t rows, int64_t n);
    void (*add)(float *out, const float *a, const float *b, float scale, int64_t n);
    void (*scale)(float *out, const float *x, float factor, int64_t n);
    void (*multiply)(float *out, const float *a, const float *b, int64_t n);
    // acc += factor·a·b; b may be NULL (ones)
    void (*multiply_add)(float *acc, const float *a, const float *b, float factor, int64_t n);
    // out = x·rstd·(offset + weight)
    void (*norm)(float *out, const float *x, const float *weight, float offset, float rstd, int64_t n);
    // Σ dout·(offset + weight)·x
    float (*norm_dot)(const float *dout, const float *x, const float *weight, float offset, int64_t n);
    // out = residual + rstd·(dout·(offset + weight) − x·factor); residual may be NULL
    void (*norm_backward)(
        float *out, const float *dout, const float *x, const float *weight, const float *residual, float offset,
        float rstd, float factor, int64_t n);
    void (*rotate)(float *x, const float *cosine, const float *sine, int64_t pairs, float sign);
    // Rows of one type: converted in registers, as this is most of what a pass does beside its products.
    void (*gated)(void *out, const void *gate, const void *up, int32_t dtype, int32_t function, int64_t n);
    // The gradients may lie where gate and up do; out may be NULL.
    void (*gated_backward)(
        void *dgate, void *dup, void *out, const void *dout, const void *gate, const void *up, int32_t dtype,
        int32_t function, int64_t n);
    // Scores [count][64] of a tile's rows and one key block to unnormalized probabilities [count][64] of a type (zero in
    // rows that see none of the keys); keeps each row's running maximum and sum and tells by which factor its earlier
    // sums must shrink. The scores are overwritten.
    void (*soften)(
        void *p, int32_t dtype, float *scores, const attune_score_row *rows, int32_t count, float *running_max,
        float *running_sum, float *shrink);
    // p = exp(s − lse), ds = scale·p·(dp − delta)·cap′, both [64], zero where hidden; ds as bfloat16 too unless
    // `narrow` is NULL.
    void (*soften_backward)(
        float *p, float *ds, uint16_t *narrow, const float *scores, const float *dp, const attune_score_row *row,
        float lse, float delta);
    // Two rows [64] as one of bfloat16 pairs [64][2]; where there is tile_bf16, else NULL.
    void (*pair_bf16)(uint16_t *out, const float *even, const float *odd);
    // out = exp(x − shift), returns the sum
    float (*exp_sum)(float *out, const float *x, float shift, int64_t n);
    // out = softcap·tanh(x·scale/softcap), or x·scale when softcap is 0
    void (*cap)(float *out, const float *x, float scale, float softcap, int64_t n);
    // out = (exp(x − lse) − smoothing)·factor·(1 − (x/softcap)²)
    void (*logit_gradient)(
        float *out, const float *x, float lse, float smoothing, float factor, float softcap, int64_t n);
    // u[c] = magnitude of the random word of column c, c from `first` (a multiple of 4)
    void (*uniform)(float *out, uint64_t key, uint32_t position, uint64_t identity, int64_t first, int64_t n);
    // out = residual + (u >= rate ? inp·keep : 0)
    void (*mask)(
        float *out, const float *inp, const float *u, const float *residual, float rate, float keep, int64_t n);
    void (*adamw)(
        float *parameter, const float *gradient, float *first, float *second, const attune_adamw_constants *constants,
        int64_t n);

    // Panel blocks. `block` is a panel's next 32 k-pairs [32][64][2] (16-bit) or 64 k [64][64] (f32).
    // 16 bits: out[p][c] = pair (W[2p][c], W[2p+1][c]) from blk[k/2][n][k%2]; out rows are 64 pairs apart.
    void (*transpose_block16)(uint16_t *out, const uint16_t *block);
    void (*transpose_block32)(float *out, const float *block);
    // Rows of pointers to a panel of k-pairs over the row (keys as columns): out[kk][n] = rows[n][kk], 32-bit elements.
    void (*pack_rows32)(uint32_t *out, const uint32_t *const *rows, int64_t count, int64_t k);
    // Rows as the reduction index: out[p][c] = (rows[2p][c], rows[2p+1][c]), c < 64.
    void (*pack_pairs16)(uint16_t *out, const uint16_t *const *rows, int64_t count, int64_t columns);
    // At most 64 columns of many rows as float32, zero from `columns` to `padded`; strides in elements.
    void (*widen_lines)(
        float *out, int64_t out_stride, const void *inp, int32_t dtype, int64_t stride, int64_t rows, int64_t columns,
        int64_t padded);
    // k-pairs [pairs][64][2] of a 16-bit type as float32 lines [2·pairs][64].
    void (*widen_pairs)(float *out, const uint16_t *panel, int32_t dtype, int64_t pairs);
    // A run of k-pairs, a multiple of eight, of a four-bit panel with one scale line, rounded to `dtype`: as k-pairs of it, or as float32
    // lines [2·pairs][64] when `lines` is set (always for float32).
    void (*expand_4bit)(
        void *out, int32_t dtype, int32_t lines, const uint8_t *codes, const float *scales, const float *codebook,
        int64_t pairs);
    // Sums [rows][64] of one to four rows of 16-bit integers with a panel of codes [pairs][64][2], |code| <= 127: exact over
    // runs of ATTUNE_SCREEN_RUN pairs, the runs added in float32.
    void (*screen_panel)(float *sums, const int8_t *codes, const int16_t *const *rows, int64_t pairs, int32_t count);
};

// 2·256 products of at most 127·32767 fit 32 bits.
#define ATTUNE_SCREEN_RUN 256

// Tables by file.
extern const attune_kernels attune_kernels_scalar;
extern const attune_kernels attune_kernels_portable;
#if defined(__x86_64__)
extern const attune_kernels attune_kernels_avx2;
extern const attune_kernels attune_kernels_avx512;
extern const attune_kernels attune_kernels_avx512bf16;
#endif

struct attune_machine_state;
struct attune_machine {
    const attune_kernels *kernels;
    struct attune_machine_state *state;
    int32_t threads;
    int32_t isa;
};

// Runs items 0..<items on the pool; `thread` names the scratch of whoever runs one.
typedef void (*attune_job)(attune_machine *machine, void *context, int64_t item, int32_t thread);
void attune_run(attune_machine *machine, attune_job job, void *context, int64_t items);

// Memory of a thread, kept between operations and grown when first needed; contents are undefined.
enum {
    ATTUNE_SCRATCH_PANEL = 0,
    ATTUNE_SCRATCH_EXTRA,
    ATTUNE_SCRATCH_ROW,
    ATTUNE_SCRATCH_STATE,
    ATTUNE_SCRATCH_SHARED,  // of thread 0: read by all during one operation
    ATTUNE_SCRATCH_SHARED2,
    ATTUNE_SCRATCH_SHARED3,
    ATTUNE_SCRATCH_EXPECTED,  // of thread 0: announced by one operation, read by those that follow
    ATTUNE_SCRATCH_SLOTS,
};
void *attune_scratch(attune_machine *machine, int32_t thread, int32_t slot, int64_t bytes);

// The next runs of memory that attune_expect announced, some of `bytes` together at most, behind `count` others in
// `list`; returns how many the list has now.
int64_t attune_take_expected(attune_machine *machine, attune_wanted *list, int64_t count, int64_t bytes);
// Such a list holds at most so many, the last to close it included.
#define ATTUNE_WANTED 16

// Every operation is between these two.
void attune_begin(attune_machine *machine);
void attune_end(attune_machine *machine);

// Elements handled at a time where rows pass through a buffer in the first-level cache.
#define ATTUNE_CHUNK 1024

static inline int64_t attune_width(int32_t dtype) { return dtype == ATTUNE_F32 ? 4 : 2; }
static inline int64_t attune_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t attune_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline void *attune_at(const attune_matrix *x, int64_t row, int64_t column) {
    return (char *)x->data + (row * x->stride + column) * attune_width(x->dtype);
}

// `n` elements as float32: in place when they are, else widened into `buffer`.
static inline const float *attune_read(
    const attune_kernels *k, const attune_matrix *x, int64_t row, int64_t column, int64_t n, float *buffer) {
    const void *at = attune_at(x, row, column);
    if (x->dtype == ATTUNE_F32) return at;
    k->widen(buffer, at, x->dtype, n);
    return buffer;
}
// Where to write `n` float32 results; attune_write stores them when they went to the buffer.
static inline float *attune_target(const attune_matrix *x, int64_t row, int64_t column, float *buffer) {
    return x->dtype == ATTUNE_F32 ? attune_at(x, row, column) : buffer;
}
static inline void attune_write(
    const attune_kernels *k, const attune_matrix *x, int64_t row, int64_t column, int64_t n, const float *from) {
    if (x->dtype != ATTUNE_F32) k->narrow(attune_at(x, row, column), x->dtype, from, n);
}

static inline float attune_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static inline uint32_t attune_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static inline float attune_from_bf16(uint16_t x) { return attune_float((uint32_t)x << 16); }
static inline uint16_t attune_to_bf16(float value) {
    uint32_t bits = attune_bits(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}
float attune_from_f16(uint16_t x);
uint16_t attune_to_f16(float value);

// The code of column n at k of a four-bit panel, counted from `codes` (a multiple of 16 k from the panel's start).
static inline uint8_t attune_code_4bit(const uint8_t *codes, int64_t k, int64_t n) {
    uint8_t both = codes[(k / 16) * 512 + n * 8 + (k & 1) * 4 + (k & 15) / 4];
    return k & 2 ? both >> 4 : both & 15;
}

// The code of 256 sorted values next to x, as bitsandbytes finds it.
uint8_t attune_nearest_code(const float *map, float x);

// One 64-k block of a weight's panel (k0 a multiple of 64, kn <= 64 rows in it) in the layout of `dtype`; `buffer`
// holds 64·64 floats. Returns the block, in place for dense weights of that type.
const void *attune_weight_block(
    const attune_kernels *k, const attune_weight *weight, int64_t panel, int64_t k0, int32_t dtype, void *buffer);
// k0 ..< k0 + kn of the panel of columns 64·panel… of W' (transposed as in attune_linear), in place or in `scratch`, which
// holds kn rounded up to 64 lines. k0 is even, and a multiple of 64 where transposed.
const void *attune_weight_lines(
    const attune_kernels *k, const attune_weight *weight, int64_t panel, int64_t k0, int64_t kn, int32_t transposed,
    int32_t dtype, void *scratch);

#endif

// The kernels of Attune's CPU backend: plain C, one table of functions for every instruction set, chosen at run time.
//
// Conventions. Outputs first, inputs next, sizes last. Matrices are row-major with a row stride in elements. Sums are
// float32 unless said otherwise. No result depends on the number of threads: work is cut into items by shape alone and
// every output element is summed by one thread in one order.
#ifndef CATTUNEKERNELS_H
#define CATTUNEKERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The element types the kernels compute with, and the integers beside them.
enum { ATTUNE_F32 = 0, ATTUNE_BF16 = 1, ATTUNE_F16 = 2 };

// Instruction sets in rising order; a table exists for those the machine has.
enum {
    ATTUNE_ISA_SCALAR = 0,      // plain loops: the oracle and the explanation
    ATTUNE_ISA_PORTABLE = 1,    // compiler vectors on the baseline (SSE2, NEON)
    ATTUNE_ISA_AVX2 = 2,        // AVX2, FMA, F16C
    ATTUNE_ISA_AVX512 = 3,      // AVX-512 F, BW, VL, DQ
    ATTUNE_ISA_AVX512BF16 = 4,  // and the bfloat16 dot product
    ATTUNE_ISA_COUNT = 5,
};

typedef struct attune_kernels attune_kernels;

// The table of an instruction set, or NULL where the machine lacks it.
const attune_kernels *attune_kernels_table(int32_t isa);
// The fastest instruction set of this machine.
int32_t attune_best_isa(void);
// "scalar", "portable", "avx2", "avx512", "avx512bf16".
const char *attune_isa_name(int32_t isa);

// A pool of threads with a table: what every operation runs on. One operation runs at a time.
typedef struct attune_machine attune_machine;

// How many cores this process may use.
int32_t attune_online_cores(void);
// NULL when memory or threads are refused or the table is missing. `threads` counts the caller.
attune_machine *attune_machine_create(int32_t threads, int32_t isa);
void attune_machine_destroy(attune_machine *machine);
int32_t attune_machine_threads(const attune_machine *machine);
int32_t attune_machine_isa(const attune_machine *machine);

// Floating-point operations a second of all threads with operands of a type in registers, and bytes a second they read from
// `bytes` of memory (0 when it is refused): what this machine can do at most, measured now.
double attune_multiply_limit(attune_machine *machine, int32_t dtype);
double attune_read_limit(attune_machine *machine, int64_t bytes);

// A matrix view. `stride` is elements from row to row.
typedef struct {
    void *data;
    int64_t rows, columns, stride;
    int32_t dtype;
} attune_matrix;

// MARK: Weights

// What a packed weight holds. Panels are 64 outputs wide, zero padded, so the packed form covers
// outs = ceil(out/64)*64 and pairs = ceil(in/2):
//   dense f32          float    [outs/64][in][64]
//   dense bf16, f16    uint16_t [outs/64][pairs][64][2]
//   four bits          uint32_t [outs/64][in/16][64][2], the codes of the even k, then of the odd, of sixteen, the lowest
//                      nibble first, and scales [outs/64][in/block][64]
//   int8               int8_t   [outs/64][pairs][64][2] and scales [outs]
//   four bits, loose   the file's own bytes and scales (rows that do not hold whole blocks, or blocks no multiple of 16);
//                      slower
enum {
    ATTUNE_WEIGHT_DENSE = 0,
    ATTUNE_WEIGHT_4BIT = 1,
    ATTUNE_WEIGHT_INT8 = 2,
    ATTUNE_WEIGHT_4BIT_LOOSE = 3,
};

typedef struct {
    int32_t kind;
    int32_t dtype;  // compute type
    int64_t out, in;
    const void *data;
    const float *scales;
    int64_t block;       // elements that share a scale (four bits)
    float codebook[16];  // four bits
} attune_weight;

// Bytes of `data` and count of `scales` a weight needs.
int64_t attune_weight_data_bytes(int32_t kind, int32_t dtype, int64_t out, int64_t in);
int64_t attune_weight_scale_count(int32_t kind, int64_t out, int64_t in, int64_t block);
// Fills `data` of a dense weight from a matrix [out, in] of any compute type.
void attune_pack_dense(attune_machine *machine, void *data, int32_t dtype, const attune_matrix *source);
// Fills `data` and `scales` of a four-bit weight; `codes` two a byte, the earlier in the high nibble.
void attune_pack_4bit(
    attune_machine *machine, uint8_t *data, float *scales, const uint8_t *codes, const float *absmax, int64_t out,
    int64_t in, int64_t block);
void attune_pack_int8(
    attune_machine *machine, int8_t *data, float *scales, const int8_t *codes, const float *absmax, int64_t out,
    int64_t in);
// Writes the dense values [out, in], rounded to the compute type for dense weights; quantized ones in f32, then rounded
// once to the type of `out`.
void attune_unpack(attune_machine *machine, const attune_matrix *out, const attune_weight *weight);

// MARK: Linear

typedef struct {
    const attune_matrix *out;
    const attune_matrix *inp;
    const attune_weight *weight;
    const float *bias;              // [columns of out] or NULL
    const attune_matrix *extra_inp; // or NULL
    const attune_weight *extra_weight;
    const attune_matrix *residual;  // or NULL
    float scale;
    int32_t transposed;             // 0: out = inp·Wᵀ; 1: out = inp·W
    // When positive: where no element of a tile's rows is larger than this in 64 k (from a multiple of 64), their part of
    // the sums may be left out.
    float negligible;
} attune_linear_arguments;

// out = residual + scale·(inp·W' + bias + extra_inp·E'), W' = Wᵀ or W.
void attune_linear(attune_machine *machine, const attune_linear_arguments *arguments);
// The same for several products, one after another; those of few rows of one `inp` (the same view) run as one, so that
// threads wait for one another once.
void attune_linear_group(attune_machine *machine, const attune_linear_arguments *arguments, int64_t count);
// Two such products of one input with equally many columns, gate and up, and out = f(gate)·up. `out` has the type of both
// products, which are written too.
void attune_gated_linear(
    attune_machine *machine, const attune_matrix *out, const attune_linear_arguments *gate_and_up, int32_t function);

// A coarse copy of a weight, by which attune_linear_maximum leaves out columns that cannot hold a row's largest value: a row of
// the weight is scale·codes + an error of at most `errors` in the 2-norm. `norms` are those of the rows themselves.
typedef struct {
    const int8_t *codes;  // [ceil(out/64)][ceil(in/2)][64][2]
    const float *scales, *errors, *norms;  // [out rounded up to 64]
} attune_screen;
#define ATTUNE_SCREEN_ROWS 4  // that attune_linear_maximum takes at once
// Fills the arrays of a screen of a dense weight; 0 where the weight is not finite.
int32_t attune_make_screen(
    attune_machine *machine, int8_t *codes, float *scales, float *errors, float *norms, const attune_weight *weight);
// out (f32) = inp·Wᵀ in the panels of 64 columns where a row's largest value may lie, bit for bit as attune_linear gives it, and −∞
// elsewhere. Rows that are not finite are multiplied whole.
void attune_linear_maximum(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const attune_weight *weight,
    const attune_screen *screen);
// dweight (f32) += scale·doutᵀ·inp.
void attune_weight_gradient(
    attune_machine *machine, const attune_matrix *dweight, const attune_matrix *dout, const attune_matrix *inp,
    float scale);

// MARK: Attention

typedef struct {
    int64_t query_start, query_count;
    int64_t range_start, range_count;  // into `ranges`
    int64_t key_count;
} attune_segment;

// Rows (queries times heads a key head) that the backward pass takes at a time: parts begin at multiples of it.
#define ATTUNE_ATTENTION_ROWS 120

// What one item of the backward pass takes of every key head. Segments that share key rows form a tree; the first part of a tree
// adds to the gradients of keys and values themselves, the others to sums of their own for the rows that other parts add to too.
typedef struct {
    int64_t first, last;          // segments, into `order`
    int64_t first_row, last_row;  // rows (queries times heads a key head) of each of them
    int64_t slot_start, slot_count;  // its own sums; none: -1, 0
} attune_attention_part;
// A key row with such sums: in `count` slots, `stride` apart.
typedef struct {
    int64_t row, slot, stride, count;
} attune_shared_row;

typedef struct {
    const attune_segment *segments;
    int64_t segment_count;
    const int64_t *ranges;  // pairs (first row, count)
    // Of the backward pass alone.
    const int64_t *order;
    const attune_attention_part *parts;
    int64_t part_count;
    const int32_t *slots;  // of each key row, from its part's slot_start; -1 for rows of one part
    const attune_shared_row *shared;
    int64_t shared_count, slot_count;
    int32_t head_count, kv_head_count, head_dimension, window;
    float scale, softcap;
} attune_attention_plan;

// `lse` is f32 [T, heads] with a row stride, or NULL.
void attune_attention(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *lse, const attune_matrix *q,
    const attune_matrix *k, const attune_matrix *v, const attune_attention_plan *plan);
// Says that some runs of bytes, the same from each of up to ATTUNE_EXPECTED_BASES addresses, are read soon: products of few rows
// that come before fetch them as they go. For keys and values, which attention alone would wait for. Replaces what was
// expected before; no result changes.
#define ATTUNE_EXPECTED_BASES 2
#define ATTUNE_EXPECTED_RUN 2048  // bytes of a run at most
typedef struct {
    int64_t offset, bytes;
} attune_byte_run;
void attune_expect(
    attune_machine *machine, const void *const *bases, int64_t base_count, const attune_byte_run *runs, int64_t count);
void attune_attention_backward(
    attune_machine *machine, const attune_matrix *dq, const attune_matrix *dk, const attune_matrix *dv,
    const attune_matrix *dout, const attune_matrix *out, const attune_matrix *lse, const attune_matrix *q,
    const attune_matrix *k, const attune_matrix *v, const attune_attention_plan *plan);

// MARK: Rows and elements

void attune_copy(attune_machine *machine, const attune_matrix *out, const attune_matrix *inp);
// out = a + scale·b
void attune_add(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *a, const attune_matrix *b, float scale);
void attune_scale(attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, float factor);
void attune_multiply_columns(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const float *vector);
// x[t, j] += scale·vector[j]
void attune_add_row(attune_machine *machine, const attune_matrix *x, const float *vector, float scale);
// dvector[j] += scale·Σ_t a[t, j]·b[t, j]; b may be NULL (ones), row_factor [rows] or NULL.
void attune_column_dot(
    attune_machine *machine, float *dvector, const attune_matrix *a, const attune_matrix *b, const float *row_factor,
    float scale);

void attune_rms_norm(
    attune_machine *machine, const attune_matrix *out, float *rstd, const attune_matrix *inp, const float *weight,
    float weight_offset, float epsilon);
void attune_rms_norm_backward(
    attune_machine *machine, const attune_matrix *dinp, float *dweight, const attune_matrix *dout,
    const attune_matrix *inp, const float *rstd, const float *weight, float weight_offset,
    const attune_matrix *residual);

// `cosine`, `sine` f32 with `table_stride` elements a line.
void attune_rope(
    attune_machine *machine, const attune_matrix *x, int64_t head_dimension, const float *cosine, const float *sine,
    int64_t pairs, int64_t table_stride, const int32_t *positions, int32_t inverse);

enum { ATTUNE_SILU = 0, ATTUNE_GELU_TANH = 1, ATTUNE_GELU = 2 };
// All matrices of one type.
void attune_gated_activation(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *gate, const attune_matrix *up,
    int32_t function);
void attune_gated_activation_backward(
    attune_machine *machine, const attune_matrix *dgate, const attune_matrix *dup, const attune_matrix *out,
    const attune_matrix *dout, const attune_matrix *gate, const attune_matrix *up, int32_t function);

// Random numbers: Philox4x32-10 (Salmon et al. 2011). Row t, column c uses word c mod 4 of the block with counter
// (c div 4, positions[t], low word of identities[t], high word of identities[t]) and key (low, high word of `key`).
// A word w is the uniform number u = (w >> 8)·2⁻²⁴ in [0, 1); an element is kept where u >= rate.
// out = residual + inp·mask/(1 − rate); residual may be NULL.
void attune_dropout(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const attune_matrix *residual,
    float rate, uint64_t key, const int32_t *positions, const uint64_t *identities);
// x[t] += magnitude[t]·(2u − 1)
void attune_add_uniform_noise(
    attune_machine *machine, const attune_matrix *x, const float *magnitude, uint64_t key, const int32_t *positions,
    const uint64_t *identities);
// The key of (seed, step, stream): m(m(m(seed) ^ step) ^ stream) with m the finalizer of SplitMix64 (Steele et al.
// 2014) applied to its argument plus 0x9E3779B97F4A7C15.
uint64_t attune_random_key(uint64_t seed, uint64_t step, uint32_t stream);

// MARK: Embedding and head

// out[i] = scale·table[rows[i]], or out[rows[i]] = inp[i].
void attune_gather_rows(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *table, const int32_t *rows, float scale);
// The same of a dense packed matrix.
void attune_gather_packed(
    attune_machine *machine, const attune_matrix *out, const attune_weight *weight, const int32_t *rows, float scale);
void attune_scatter_rows(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const int32_t *rows);
// dtable[ids[t]] += scale·dout[t], f32, in row order.
void attune_embed_backward(
    attune_machine *machine, const attune_matrix *dtable, const attune_matrix *dout, const int32_t *ids, float scale);
void attune_cross_entropy(
    attune_machine *machine, float *losses, int32_t *predictions, const attune_matrix *dlogits,
    const attune_matrix *logits, const int32_t *targets, float logit_scale, float softcap, float label_smoothing,
    float gradient_scale);
void attune_finish_logits(attune_machine *machine, const attune_matrix *logits, float logit_scale, float softcap);

// MARK: Optimizer

double attune_sum_of_squares(attune_machine *machine, const attune_matrix *x);

typedef struct {
    float learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale;
    int64_t step;
} attune_adamw_step;

void attune_adamw(
    attune_machine *machine, float *parameter, const float *gradient, float *first, float *second, int64_t count,
    const attune_adamw_step *step);
void attune_adamw_8bit(
    attune_machine *machine, float *parameter, const float *gradient, uint8_t *first, uint8_t *second,
    float *first_absmax, float *second_absmax, int64_t count, const attune_adamw_step *step);
void attune_sgd(
    attune_machine *machine, float *parameter, const float *gradient, float *velocity, int64_t count,
    float learning_rate, float momentum, float weight_decay, float gradient_scale);

// MARK: Quantization

// The sixteen values of NF4 (fp4 = 0) or FP4 (fp4 = 1) in code order.
void attune_4bit_codebook(float *out, int32_t fp4);
// The 256 values of the dynamic map of bitsandbytes, sorted.
void attune_dynamic_map(float *out, int32_t is_signed);
// Codes of a matrix as bitsandbytes makes them on the CPU: flattened, blocks of `block`, absmax f32 a block.
void attune_quantize_4bit(
    attune_machine *machine, uint8_t *codes, float *absmax, const attune_matrix *source, int64_t block, int32_t fp4);
// Eight-bit block-wise codes with a map; used for nested scales.
void attune_quantize_8bit(
    uint8_t *codes, float *absmax, const float *source, int64_t count, int64_t block, const float *map);
// Rows scaled by 127/absmax and rounded half to even (LLM.int8).
void attune_quantize_int8(attune_machine *machine, int8_t *codes, float *absmax, const attune_matrix *source);

#ifdef __cplusplus
}
#endif
#endif

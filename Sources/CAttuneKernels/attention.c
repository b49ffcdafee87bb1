// Causal attention of segments and its backward pass, in blocks that stay in cache (Dao 2023, FlashAttention-2).
//
//   s = cap(scale·q·k),  p = exp(s − lse),  out = Σ p·v
//   D = Σ dout·out,  dv = Σ pᵀ·dout,  dp = dout·vᵀ,  ds = p·(dp − D)·cap′·scale,  dq = Σ ds·k,  dk = Σ dsᵀ·q
//
// Query heads that share a key head form one list of rows (query-major), so keys are laid out once for all of them. Key
// blocks begin at multiples of 64 of the *logical* key index and row blocks at fixed multiples from the segment's first
// row, so a segment's results are the same bits wherever its rows lie.
#include "machine.h"

#include <math.h>

#define ROWS ATTUNE_ATTENTION_ROWS
#define ROW_LINES ((ROWS + 63) / 64 * 64)  // k-lines of a panel over them
#define FORWARD_ROWS 192                   // more, as keys are laid out for each block of rows
#define KEYS 64

// Where gradients of keys or values add up, in float32.
typedef struct {
    float *rows;  // [rows][kv heads·d]
    int64_t stride;
    float *slots;  // [slots][kv heads·d], for rows that several parts add to
} key_sums;

// What every item of one call shares.
typedef struct {
    const attune_attention_plan *plan;
    const attune_matrix *q, *k, *v, *out, *lse, *dout, *dq;
    key_sums dk, dv;  // backward
    int32_t dtype;    // of the tile's operands
    int64_t d, width;  // head dimension; bytes of an operand element
    int64_t group;
    const int64_t *block_starts;  // forward: row blocks before each segment
    int64_t item_heads;           // forward: key heads of one item
} attention_context;

// Scratch of one thread.
typedef struct {
    char *rows_q, *rows_dout;   // operand rows [192][d]
    char *keys, *values;        // operand rows of one key block [64][d], when converted
    char *key_panel;            // keys as columns: k = d
    char *value_panel;          // forward: values as the reduction, d columns; backward: values as columns
    char *key_sum_panel;        // backward: keys as the reduction
    char *q_sum_panel, *dout_sum_panel;  // backward: rows as the reduction
    char *weights;              // p or ds as operand rows [6][64]
    char *p, *ds;               // backward: [ROWS][64], for pairs [ROWS/2][64][2]
    float *sum;                 // out or dq [192][d]
    float *row_max, *row_sum;
} attention_scratch;

static int64_t panel_size(const attention_context *c) {
    // Both kinds of panel: d k-lines of 64 columns, or ceil(d/64) panels of 64 k-lines.
    return ((c->d + 63) / 64 * 64) * 64 * 4;
}

static attention_scratch carve(attune_machine *machine, int32_t thread, const attention_context *c) {
    int64_t line = (c->d * 4 + 63) & ~(int64_t)63;
    int64_t rows = FORWARD_ROWS * line, panel = panel_size(c), square = 64 * 64 * 4;
    int64_t high = panel / 64 * ROW_LINES, tall = ROW_LINES * 64 * 4;
    int64_t bytes = 4 * rows + 3 * panel + 2 * high + square + 2 * tall + rows + 2 * 4 * FORWARD_ROWS;
    char *at = attune_scratch(machine, thread, ATTUNE_SCRATCH_STATE, bytes);
    attention_scratch s;
    s.rows_q = at; at += rows;
    s.rows_dout = at; at += rows;
    s.keys = at; at += rows;
    s.values = at; at += rows;
    s.key_panel = at; at += panel;
    s.value_panel = at; at += panel;
    s.key_sum_panel = at; at += panel;
    s.q_sum_panel = at; at += high;
    s.dout_sum_panel = at; at += high;
    s.weights = at; at += square;
    s.p = at; at += tall;
    s.ds = at; at += tall;
    s.sum = (float *)at; at += rows;
    s.row_max = (float *)at; at += 4 * FORWARD_ROWS;
    s.row_sum = (float *)at;
    return s;
}

// The physical row of a logical key of a segment, walking its ranges.
typedef struct {
    const int64_t *ranges;
    int64_t start;  // logical index of the current range's first key
} key_walk;

static int64_t key_row(key_walk *walk, int64_t logical) {
    while (logical >= walk->start + walk->ranges[1]) {
        walk->start += walk->ranges[1];
        walk->ranges += 2;
    }
    return walk->ranges[0] + logical - walk->start;
}

// Operand rows: where a head's d elements of matrix `x` lie, in the tile's type.
static void operand_rows(
    const attune_kernels *k, const attention_context *c, const attune_matrix *x, const int64_t *rows, int64_t count,
    int64_t column, char *buffer, const void **pointers) {
    if (x->dtype == c->dtype) {
        for (int64_t i = 0; i < count; i++) pointers[i] = attune_at(x, rows[i], column);
        return;
    }
    int64_t line = ((c->d * 4 + 63) & ~(int64_t)63) / 4;
    float *lines = (float *)buffer;
    for (int64_t i = 0; i < count;) {
        int64_t run = 1;
        while (i + run < count && rows[i + run] == rows[i] + run) run++;
        for (int64_t j = 0; j < c->d; j += 64) {
            int64_t n = attune_min(64, c->d - j);
            k->widen_lines(
                lines + i * line + j, line, attune_at(x, rows[i], column + j), x->dtype, x->stride, run, n, n);
        }
        i += run;
    }
    for (int64_t i = 0; i < count; i++) pointers[i] = lines + i * line;
}

// Rows as columns of a panel: k = d.
static void pack_columns(
    const attune_kernels *k, const attention_context *c, char *panel, const void *const *rows, int64_t count) {
    int64_t lines = c->dtype == ATTUNE_F32 ? c->d : c->d / 2;
    k->pack_rows32((uint32_t *)panel, (const uint32_t *const *)rows, count, lines);
}

// Rows as the reduction index, their d elements as columns: panels of 64, each `height` k-lines high.
static void pack_reduction(
    const attune_kernels *k, const attention_context *c, char *panels, int64_t height, const void *const *rows,
    int64_t count) {
    for (int64_t j = 0; j < c->d; j += 64) {
        int64_t n = attune_min(64, c->d - j);
        if (c->dtype == ATTUNE_F32) {
            for (int64_t r = 0; r < count;) {
                // Rows that stand evenly go in one call.
                const float *row = rows[r];
                int64_t run = 1, stride = r + 1 < count ? (const float *)rows[r + 1] - row : 0;
                while (r + run < count && (const float *)rows[r + run] == row + run * stride) run++;
                float *lines = (float *)panels + (j / 64 * height + r) * 64;
                k->widen_lines(lines, 64, row + j, ATTUNE_F32, stride, run, n, 64);
                r += run;
            }
        } else {
            const uint16_t *shifted[ROW_LINES];
            for (int64_t r = 0; r < count; r++) shifted[r] = (const uint16_t *)rows[r] + j;
            k->pack_pairs16((uint16_t *)panels + j / 64 * height * 64, shifted, count, n);
        }
    }
}

// Asks for the memory a row of results goes to.
static inline void expect_row(const attune_matrix *x, int64_t row, int64_t column, int64_t d) {
    const char *at = attune_at(x, row, column);
    for (int64_t i = 0; i < d * attune_width(x->dtype); i += 64) __builtin_prefetch(at + i, 1);
}

static inline void tile(
    const attune_kernels *k, const attention_context *c, float *acc, int64_t stride, int32_t accumulate,
    const void *const *rows, int32_t count, int64_t step, const void *panel, int64_t length, int64_t columns) {
    attune_product product = {.panel = panel, .k = length, .step = step, .line = ATTUNE_PANEL};
    for (int32_t m = 0; m < count; m++) product.rows[m] = rows[m];
    int32_t width = (int32_t)((columns + 15) / 16);
    if (c->dtype == ATTUNE_BF16) k->tile_bf16(acc, stride, accumulate, &product, 1, count, width);
    else k->tile_f32(acc, stride, accumulate, &product, 1, count, width);
}

// The same product added to float32 rows `stride` apart, in place where whole vectors of sixteen fit.
static inline void tile_add(
    const attune_kernels *k, const attention_context *c, float *const *sums, const void *const *rows, int32_t count,
    int64_t step, const void *panel, int64_t length, int64_t columns) {
    int64_t stride = count > 1 ? sums[1] - sums[0] : 0;
    int even = columns % 16 == 0;
    for (int32_t m = 2; m < count; m++) even &= sums[m] - sums[m - 1] == stride;
    if (even) {
        tile(k, c, sums[0], stride, 1, rows, count, step, panel, length, columns);
        return;
    }
    _Alignas(64) float acc[ATTUNE_TILE * ATTUNE_PANEL];
    for (int32_t m = 0; m < count; m++) memcpy(acc + m * ATTUNE_PANEL, sums[m], (size_t)columns * 4);
    for (int32_t m = 0; m < count; m++)
        memset(acc + m * ATTUNE_PANEL + columns, 0, (size_t)(ATTUNE_PANEL - columns) * 4);
    tile(k, c, acc, ATTUNE_PANEL, 1, rows, count, step, panel, length, columns);
    for (int32_t m = 0; m < count; m++) memcpy(sums[m], acc + m * ATTUNE_PANEL, (size_t)columns * 4);
}

// The keys a row may see: first ..< last.
typedef struct {
    int64_t first, last;
} key_span;

static key_span span_of(const attune_attention_plan *plan, const attune_segment *segment, int64_t query) {
    key_span span;
    span.last = segment->key_count - segment->query_count + query + 1;
    span.first = plan->window > 0 ? attune_max(0, span.last - plan->window) : 0;
    return span;
}

// Which keys of the block at `start` a row may see.
static attune_score_row row_of(const attune_attention_plan *plan, key_span span, int64_t start, int64_t count) {
    return (attune_score_row){
        plan->scale, plan->softcap, attune_max(0, span.first - start), attune_min(count, span.last - start)};
}

// MARK: Forward

// Blocks of so few rows wait for keys and values, which a cache has in memory.
#define MEMORY_BOUND_ROWS 12

// Brings rows of some heads' keys and values into the cache. By loads: the core then has as many lines under way as it can,
// which asking for them ahead did not give.
static void touch_rows(const attention_context *c, const int64_t *rows, int64_t count, int64_t kv_head) {
    int64_t bytes = c->item_heads * c->d * attune_width(c->k->dtype);
    for (int64_t i = 0; i < count; i++) {
        const volatile char *key = attune_at(c->k, rows[i], kv_head * c->d);
        const volatile char *value = attune_at(c->v, rows[i], kv_head * c->d);
        for (int64_t at = 0; at < bytes; at += 64) {
            (void)key[at];
            (void)value[at];
        }
    }
}

static void forward_rows(
    attune_machine *machine, const attention_context *c, const attune_segment *segment, int64_t row_start,
    int64_t kv_head, int is_first, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const attune_attention_plan *plan = c->plan;
    int64_t count = attune_min(FORWARD_ROWS, segment->query_count * c->group - row_start);
    attention_scratch s = carve(machine, thread, c);
    int64_t d = c->d;

    const void *q_rows[FORWARD_ROWS];
    key_span spans[FORWARD_ROWS];
    int64_t first_key = segment->key_count, last_key = 0;
    for (int64_t r = 0; r < count; r++) {
        int64_t query = (row_start + r) / c->group, head = kv_head * c->group + (row_start + r) % c->group;
        int64_t row = segment->query_start + query;
        operand_rows(k, c, c->q, &row, 1, head * d, s.rows_q + r * ((d * 4 + 63) & ~(int64_t)63), q_rows + r);
        expect_row(c->out, row, head * d, d);
        spans[r] = span_of(plan, segment, query);
        first_key = attune_min(first_key, spans[r].first);
        last_key = attune_max(last_key, spans[r].last);
        s.row_max[r] = -INFINITY;
        s.row_sum[r] = 0;
    }
    memset(s.sum, 0, (size_t)(count * d) * 4);

    key_walk walk = {plan->ranges + 2 * segment->range_start, 0};
    _Alignas(64) float acc[ATTUNE_TILE * ATTUNE_PANEL];
    for (int64_t start = first_key / KEYS * KEYS; start < last_key; start += KEYS) {
        int64_t keys = attune_min(KEYS, last_key - start);
        int64_t rows[KEYS];
        for (int64_t i = 0; i < keys; i++) rows[i] = key_row(&walk, start + i);
        if (is_first && count <= MEMORY_BOUND_ROWS) touch_rows(c, rows, keys, kv_head);
        const void *pointers[KEYS];
        operand_rows(k, c, c->k, rows, keys, kv_head * d, s.keys, pointers);
        pack_columns(k, c, s.key_panel, pointers, keys);
        operand_rows(k, c, c->v, rows, keys, kv_head * d, s.values, pointers);
        pack_reduction(k, c, s.value_panel, KEYS, pointers, keys);
        for (int64_t r0 = 0; r0 < count; r0 += ATTUNE_TILE) {
            int32_t tile_rows = (int32_t)attune_min(ATTUNE_TILE, count - r0);
            if (spans[r0 + tile_rows - 1].last <= start || spans[r0].first >= start + keys) continue;
            // Keys after the tile's last query are hidden from all its rows.
            int64_t live = attune_min(keys, spans[r0 + tile_rows - 1].last - start);
            tile(k, c, acc, ATTUNE_PANEL, 0, q_rows + r0, tile_rows, 1, s.key_panel, d, live);
            float shrink[ATTUNE_TILE];
            const void *p_rows[ATTUNE_TILE];
            attune_score_row seen[ATTUNE_TILE];
            for (int32_t m = 0; m < tile_rows; m++) {
                p_rows[m] = s.weights + m * KEYS * c->width;
                seen[m] = row_of(plan, spans[r0 + m], start, keys);
            }
            k->soften(s.weights, c->dtype, acc, seen, tile_rows, s.row_max + r0, s.row_sum + r0, shrink);
            for (int32_t m = 0; m < tile_rows; m++) {
                float *sum = s.sum + (r0 + m) * d;
                if (shrink[m] != 1) k->scale(sum, sum, shrink[m], d);
            }
            for (int64_t j = 0; j < d; j += 64) {
                float *sums[ATTUNE_TILE];
                for (int32_t m = 0; m < tile_rows; m++) sums[m] = s.sum + (r0 + m) * d + j;
                tile_add(
                    k, c, sums, p_rows, tile_rows, 1, s.value_panel + j * 64 * c->width, live, attune_min(64, d - j));
            }
        }
    }
    for (int64_t r = 0; r < count; r++) {
        int64_t row = segment->query_start + (row_start + r) / c->group;
        int64_t head = kv_head * c->group + (row_start + r) % c->group;
        float *sum = s.sum + r * d;
        k->scale(sum, sum, 1 / s.row_sum[r], d);
        k->narrow(attune_at(c->out, row, head * d), c->out->dtype, sum, d);
        if (c->lse) *(float *)attune_at(c->lse, row, head) = s.row_max[r] + logf(s.row_sum[r]);
    }
}

static void forward_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attention_context *c = context;
    int64_t parts = c->plan->kv_head_count / c->item_heads, block = item / parts;
    int64_t low = 0, high = c->plan->segment_count - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (c->block_starts[middle] <= block) low = middle;
        else high = middle - 1;
    }
    int64_t row_start = (block - c->block_starts[low]) * FORWARD_ROWS, head = item % parts * c->item_heads;
    for (int64_t i = 0; i < c->item_heads; i++)
        forward_rows(machine, c, c->plan->segments + low, row_start, head + i, i == 0, thread);
}

static attention_context context_of(
    attune_machine *machine, const attune_matrix *q, const attune_matrix *k, const attune_matrix *v,
    const attune_attention_plan *plan) {
    attention_context c = {.plan = plan, .q = q, .k = k, .v = v, .d = plan->head_dimension};
    int pairs = q->dtype == ATTUNE_BF16 && k->dtype == ATTUNE_BF16 && v->dtype == ATTUNE_BF16 && c.d % 2 == 0;
    c.dtype = pairs && machine->kernels->tile_bf16 ? ATTUNE_BF16 : ATTUNE_F32;
    c.width = attune_width(c.dtype);
    c.group = plan->head_count / plan->kv_head_count;
    return c;
}

void attune_attention(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *lse, const attune_matrix *q,
    const attune_matrix *k, const attune_matrix *v, const attune_attention_plan *plan) {
    attune_begin(machine);
    attention_context c = context_of(machine, q, k, v, plan);
    c.out = out;
    c.lse = lse;
    int64_t *starts = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, (plan->segment_count + 1) * 8);
    int64_t blocks = 0;
    for (int64_t i = 0; i < plan->segment_count; i++) {
        starts[i] = blocks;
        blocks += (plan->segments[i].query_count * c.group + FORWARD_ROWS - 1) / FORWARD_ROWS;
    }
    c.block_starts = starts;
    // Where there are items enough, all heads of a row in one: their keys are neighbours in memory.
    c.item_heads = blocks >= 4 * machine->threads ? plan->kv_head_count : 1;
    attune_run(machine, forward_item, &c, blocks * (plan->kv_head_count / c.item_heads));
    attune_end(machine);
}

// MARK: Backward

// Where a part adds up the gradient of a row of keys or values.
static float *key_sum(
    const attention_context *c, const key_sums *sums, const attune_attention_part *part, int64_t row) {
    const attune_attention_plan *plan = c->plan;
    if (part->slot_start < 0 || plan->slots[row] < 0) return sums->rows + row * sums->stride;
    return sums->slots + (part->slot_start + plan->slots[row]) * plan->kv_head_count * c->d;
}

// Adds weightsᵀ·panel to the float32 rows of the keys: dk or dv. `weights` are [ROWS][64], for pairs [ROWS/2][64][2]: tiles walk
// the columns where they lie.
static void add_to_keys(
    const attune_kernels *k, const attention_context *c, const char *weights, const key_sums *sums,
    const attune_attention_part *part, const int64_t *rows, int64_t start, int64_t keys, int64_t column,
    const char *panels, const key_span *spans, int64_t count) {
    int64_t first = 0;
    for (int64_t i0 = 0; i0 < keys; i0 += ATTUNE_TILE) {
        int32_t tile_keys = (int32_t)attune_min(ATTUNE_TILE, keys - i0);
        // Rows before the first that sees one of these keys hold zeros.
        while (first < count && spans[first].last <= start + i0) first++;
        int64_t skip = first & ~(int64_t)1;
        const void *turned[ATTUNE_TILE];
        for (int32_t m = 0; m < tile_keys; m++) turned[m] = weights + (i0 + m) * 4 + skip * KEYS * c->width;
        for (int64_t j = 0; j < c->d; j += 64) {
            float *to[ATTUNE_TILE];
            for (int32_t m = 0; m < tile_keys; m++) to[m] = key_sum(c, sums, part, rows[i0 + m]) + column + j;
            tile_add(
                k, c, to, turned, tile_keys, KEYS, panels + (j / 64 * ROW_LINES + skip) * 64 * c->width, count - skip,
                attune_min(64, c->d - j));
        }
    }
}

// Float32 rows of weights as the rows of pairs add_to_keys walks; after an odd number of rows a row of zeros.
static void pair_weights(
    const attune_kernels *k, char *out, float *weights, int64_t row, int32_t count) {
    if (count & 1) memset(weights + count * KEYS, 0, KEYS * 4);
    for (int32_t m = 0; m < count; m += 2)
        k->pair_bf16((uint16_t *)out + (row + m) * KEYS, weights + m * KEYS, weights + (m + 1) * KEYS);
}

static void backward_rows(
    attune_machine *machine, const attention_context *c, const attention_scratch *s,
    const attune_attention_part *part, const attune_segment *segment, int64_t kv_head, int64_t row_start) {
    const attune_kernels *k = machine->kernels;
    const attune_attention_plan *plan = c->plan;
    int64_t d = c->d, line = (d * 4 + 63) & ~(int64_t)63;
    int64_t count = attune_min(ROWS, segment->query_count * c->group - row_start);
    const void *q_rows[ROWS], *dout_rows[ROWS];
    key_span spans[ROWS];
    float lse[ROWS], delta[ROWS];
    int64_t first_key = segment->key_count, last_key = 0;
    for (int64_t r = 0; r < count; r++) {
        int64_t query = (row_start + r) / c->group, head = kv_head * c->group + (row_start + r) % c->group;
        int64_t row = segment->query_start + query;
        operand_rows(k, c, c->q, &row, 1, head * d, s->rows_q + r * line, q_rows + r);
        operand_rows(k, c, c->dout, &row, 1, head * d, s->rows_dout + r * line, dout_rows + r);
        expect_row(c->dq, row, head * d, d);
        spans[r] = span_of(plan, segment, query);
        first_key = attune_min(first_key, spans[r].first);
        last_key = attune_max(last_key, spans[r].last);
        lse[r] = *(const float *)attune_at(c->lse, row, head);
        // s->sum is free until the row block begins.
        k->widen(s->sum, attune_at(c->dout, row, head * d), c->dout->dtype, d);
        k->widen(s->sum + d, attune_at(c->out, row, head * d), c->out->dtype, d);
        delta[r] = k->dot(s->sum, s->sum + d, d);
    }
    pack_reduction(k, c, s->q_sum_panel, ROW_LINES, q_rows, count);
    pack_reduction(k, c, s->dout_sum_panel, ROW_LINES, dout_rows, count);
    memset(s->sum, 0, (size_t)(count * d) * 4);
    key_walk walk = {plan->ranges + 2 * segment->range_start, 0};
    _Alignas(64) float acc[ATTUNE_TILE * ATTUNE_PANEL], dp[ATTUNE_TILE * ATTUNE_PANEL];
    for (int64_t start = first_key / KEYS * KEYS; start < last_key; start += KEYS) {
        int64_t keys = attune_min(KEYS, last_key - start);
        int64_t rows[KEYS];
        for (int64_t i = 0; i < keys; i++) rows[i] = key_row(&walk, start + i);
        const void *pointers[KEYS];
        operand_rows(k, c, c->k, rows, keys, kv_head * d, s->keys, pointers);
        pack_columns(k, c, s->key_panel, pointers, keys);
        pack_reduction(k, c, s->key_sum_panel, KEYS, pointers, keys);
        operand_rows(k, c, c->v, rows, keys, kv_head * d, s->values, pointers);
        pack_columns(k, c, s->value_panel, pointers, keys);
        for (int64_t r0 = 0; r0 < count; r0 += ATTUNE_TILE) {
            int32_t tile_rows = (int32_t)attune_min(ATTUNE_TILE, count - r0);
            if (spans[r0 + tile_rows - 1].last <= start || spans[r0].first >= start + keys) {
                int64_t bytes = (tile_rows + 1) / 2 * 2 * KEYS * c->width;
                memset(s->p + r0 * KEYS * c->width, 0, (size_t)bytes);
                memset(s->ds + r0 * KEYS * c->width, 0, (size_t)bytes);
                continue;
            }
            int64_t live = attune_min(keys, spans[r0 + tile_rows - 1].last - start);
            tile(k, c, acc, ATTUNE_PANEL, 0, q_rows + r0, tile_rows, 1, s->key_panel, d, live);
            tile(k, c, dp, ATTUNE_PANEL, 0, dout_rows + r0, tile_rows, 1, s->value_panel, d, live);
            int is_float = c->dtype == ATTUNE_F32;
            _Alignas(64) float buffers[2][ATTUNE_TILE * KEYS];
            float *p = is_float ? (float *)s->p + r0 * KEYS : buffers[0];
            float *ds = is_float ? (float *)s->ds + r0 * KEYS : buffers[1];
            const void *ds_rows[ATTUNE_TILE];
            for (int32_t m = 0; m < tile_rows; m++) {
                uint16_t *narrow = is_float ? NULL : (uint16_t *)s->weights + m * KEYS;
                ds_rows[m] = is_float ? (void *)(ds + m * KEYS) : narrow;
                attune_score_row row = row_of(plan, spans[r0 + m], start, keys);
                if (row.first < row.last) {
                    k->soften_backward(
                        p + m * KEYS, ds + m * KEYS, narrow, acc + m * ATTUNE_PANEL, dp + m * ATTUNE_PANEL, &row,
                        lse[r0 + m], delta[r0 + m]);
                } else {
                    memset(p + m * KEYS, 0, KEYS * 4);
                    memset(ds + m * KEYS, 0, KEYS * 4);
                    if (narrow) memset(narrow, 0, KEYS * 2);
                }
            }
            if (!is_float) {
                pair_weights(k, s->p, p, r0, tile_rows);
                pair_weights(k, s->ds, ds, r0, tile_rows);
            }
            for (int64_t j = 0; j < d; j += 64) {
                float *sums[ATTUNE_TILE];
                for (int32_t m = 0; m < tile_rows; m++) sums[m] = s->sum + (r0 + m) * d + j;
                tile_add(
                    k, c, sums, ds_rows, tile_rows, 1, s->key_sum_panel + j * 64 * c->width, live,
                    attune_min(64, d - j));
            }
        }
        add_to_keys(k, c, s->p, &c->dv, part, rows, start, keys, kv_head * d, s->dout_sum_panel, spans, count);
        add_to_keys(k, c, s->ds, &c->dk, part, rows, start, keys, kv_head * d, s->q_sum_panel, spans, count);
    }
    for (int64_t r = 0; r < count; r++) {
        int64_t row = segment->query_start + (row_start + r) / c->group;
        int64_t head = kv_head * c->group + (row_start + r) % c->group;
        k->narrow(attune_at(c->dq, row, head * d), c->dq->dtype, s->sum + r * d, d);
    }
}

static void backward_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attention_context *c = context;
    const attune_attention_plan *plan = c->plan;
    const attune_attention_part *part = plan->parts + item / plan->kv_head_count;
    int64_t kv_head = item % plan->kv_head_count, width = plan->kv_head_count * c->d;
    attention_scratch s = carve(machine, thread, c);
    for (int64_t slot = part->slot_start; slot < part->slot_start + part->slot_count; slot++) {
        memset(c->dk.slots + slot * width + kv_head * c->d, 0, (size_t)c->d * 4);
        memset(c->dv.slots + slot * width + kv_head * c->d, 0, (size_t)c->d * 4);
    }
    for (int64_t i = part->first; i < part->last; i++) {
        const attune_segment *segment = plan->segments + plan->order[i];
        int64_t end = attune_min(part->last_row, segment->query_count * c->group);
        for (int64_t row = part->first_row; row < end; row += ROWS)
            backward_rows(machine, c, &s, part, segment, kv_head, row);
    }
}

// Adds the sums of later parts to those of the first, in their order.
static void join_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attention_context *c = context;
    const attune_attention_plan *plan = c->plan;
    int64_t width = plan->kv_head_count * c->d;
    for (int64_t i = item * 16; i < attune_min((item + 1) * 16, plan->shared_count); i++) {
        const attune_shared_row *shared = plan->shared + i;
        float *dk = c->dk.rows + shared->row * c->dk.stride, *dv = c->dv.rows + shared->row * c->dv.stride;
        for (int64_t part = 0; part < shared->count; part++) {
            int64_t at = (shared->slot + part * shared->stride) * width;
            machine->kernels->add(dk, dk, c->dk.slots + at, 1, width);
            machine->kernels->add(dv, dv, c->dv.slots + at, 1, width);
        }
    }
}

typedef struct {
    const attune_matrix *out;
    float *sums;
    int64_t stride;
    int32_t store;  // 0: zero the sums, 1: store them
} sums_context;

static void sums_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const sums_context *c = context;
    for (int64_t row = item * 16; row < attune_min((item + 1) * 16, c->out->rows); row++) {
        float *line = c->sums + row * c->stride;
        if (!c->store) memset(line, 0, (size_t)c->out->columns * 4);
        else machine->kernels->narrow(attune_at(c->out, row, 0), c->out->dtype, line, c->out->columns);
    }
}

// Float32 sums for a gradient: its own memory when it is float32, else scratch.
static float *open_sums(attune_machine *machine, const attune_matrix *gradient, int32_t slot, int64_t *stride) {
    int direct = gradient->dtype == ATTUNE_F32;
    *stride = direct ? gradient->stride : gradient->columns;
    float *sums = direct ? gradient->data : attune_scratch(machine, 0, slot, gradient->rows * gradient->columns * 4);
    sums_context context = {gradient, sums, *stride, 0};
    attune_run(machine, sums_item, &context, (gradient->rows + 15) / 16);
    return sums;
}

void attune_attention_backward(
    attune_machine *machine, const attune_matrix *dq, const attune_matrix *dk, const attune_matrix *dv,
    const attune_matrix *dout, const attune_matrix *out, const attune_matrix *lse, const attune_matrix *q,
    const attune_matrix *k, const attune_matrix *v, const attune_attention_plan *plan) {
    attune_begin(machine);
    attention_context c = context_of(machine, q, k, v, plan);
    if (dout->dtype != q->dtype) {
        c.dtype = ATTUNE_F32;
        c.width = 4;
    }
    c.out = out;
    c.lse = lse;
    c.dout = dout;
    c.dq = dq;
    c.dk.rows = open_sums(machine, dk, ATTUNE_SCRATCH_SHARED, &c.dk.stride);
    c.dv.rows = open_sums(machine, dv, ATTUNE_SCRATCH_SHARED2, &c.dv.stride);
    int64_t slots = plan->slot_count * plan->kv_head_count * c.d;
    c.dk.slots = slots > 0 ? attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED3, 2 * slots * 4) : NULL;
    c.dv.slots = slots > 0 ? c.dk.slots + slots : NULL;
    attune_run(machine, backward_item, &c, plan->part_count * plan->kv_head_count);
    if (slots > 0) attune_run(machine, join_item, &c, (plan->shared_count + 15) / 16);
    sums_context store_dk = {dk, c.dk.rows, c.dk.stride, 1}, store_dv = {dv, c.dv.rows, c.dv.stride, 1};
    if (dk->dtype != ATTUNE_F32) attune_run(machine, sums_item, &store_dk, (dk->rows + 15) / 16);
    if (dv->dtype != ATTUNE_F32) attune_run(machine, sums_item, &store_dv, (dv->rows + 15) / 16);
    attune_end(machine);
}

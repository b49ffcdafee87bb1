// Operations on rows: norms, rotation, activations, sums over rows, dropout, gathering. A row is cut into chunks that
// pass through the first-level cache as float32 and are rounded once on the way out.
#include "machine.h"

#include <math.h>

// Elements of an item, below which sharing them costs more than it saves.
#define SMALL 4096

// Rows of an item so that items have some size and results never depend on it.
static int64_t rows_per_item(const attune_matrix *x) {
    return attune_max(1, SMALL / attune_max(1, x->columns));
}
static void run_rows(attune_machine *machine, attune_job job, void *context, const attune_matrix *x) {
    int64_t step = rows_per_item(x);
    attune_run(machine, job, context, (x->rows + step - 1) / step);
}

// The rows of an item.
#define FOR_ROWS(row, x, item)                                                                                        \
    for (int64_t row = (item) * rows_per_item(x), row##_end = attune_min(row + rows_per_item(x), (x)->rows); \
         row < row##_end; row++)
#define FOR_CHUNKS(i, n, columns)                                                                                     \
    for (int64_t i = 0, n; n = attune_min(ATTUNE_CHUNK, (columns) - i), i < (columns); i += ATTUNE_CHUNK)

// MARK: Element-wise

enum { OP_COPY, OP_ADD, OP_SCALE, OP_COLUMNS, OP_ROW, OP_FINISH };

typedef struct {
    int32_t op;
    const attune_matrix *out, *a, *b;
    const float *vector;
    float scale, softcap;
} element_context;

static void element_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const element_context *c = context;
    float in0[ATTUNE_CHUNK], in1[ATTUNE_CHUNK], out0[ATTUNE_CHUNK];
    FOR_ROWS(row, c->out, item) {
        FOR_CHUNKS(i, n, c->out->columns) {
            const float *a = attune_read(k, c->a, row, i, n, in0);
            float *out = attune_target(c->out, row, i, out0);
            switch (c->op) {
            case OP_COPY:
                k->narrow(attune_at(c->out, row, i), c->out->dtype, a, n);
                continue;
            case OP_ADD: k->add(out, a, attune_read(k, c->b, row, i, n, in1), c->scale, n); break;
            case OP_SCALE: k->scale(out, a, c->scale, n); break;
            case OP_COLUMNS: k->multiply(out, a, c->vector + i, n); break;
            case OP_ROW: k->add(out, a, c->vector + i, c->scale, n); break;
            default: k->cap(out, a, c->scale, c->softcap, n); break;
            }
            attune_write(k, c->out, row, i, n, out);
        }
    }
}

static void run_elements(attune_machine *machine, element_context *context) {
    attune_begin(machine);
    run_rows(machine, element_item, context, context->out);
    attune_end(machine);
}

void attune_copy(attune_machine *machine, const attune_matrix *out, const attune_matrix *inp) {
    element_context c = {.op = OP_COPY, .out = out, .a = inp};
    run_elements(machine, &c);
}
void attune_add(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *a, const attune_matrix *b, float scale) {
    element_context c = {.op = OP_ADD, .out = out, .a = a, .b = b, .scale = scale};
    run_elements(machine, &c);
}
void attune_scale(attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, float factor) {
    element_context c = {.op = OP_SCALE, .out = out, .a = inp, .scale = factor};
    run_elements(machine, &c);
}
void attune_multiply_columns(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const float *vector) {
    element_context c = {.op = OP_COLUMNS, .out = out, .a = inp, .vector = vector};
    run_elements(machine, &c);
}
void attune_add_row(attune_machine *machine, const attune_matrix *x, const float *vector, float scale) {
    element_context c = {.op = OP_ROW, .out = x, .a = x, .vector = vector, .scale = scale};
    run_elements(machine, &c);
}
void attune_finish_logits(attune_machine *machine, const attune_matrix *logits, float logit_scale, float softcap) {
    element_context c = {.op = OP_FINISH, .out = logits, .a = logits, .scale = logit_scale, .softcap = softcap};
    run_elements(machine, &c);
}

// MARK: Gated activation

typedef struct {
    const attune_matrix *out, *gate, *up;
    const attune_matrix *dgate, *dup, *dout;  // of the backward pass, else NULL
    int32_t function;
} gated_context;

static void gated_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const gated_context *c = context;
    FOR_ROWS(row, c->gate, item) {
        const void *gate = attune_at(c->gate, row, 0), *up = attune_at(c->up, row, 0);
        void *out = c->out ? attune_at(c->out, row, 0) : NULL;
        if (c->dout)
            k->gated_backward(
                attune_at(c->dgate, row, 0), attune_at(c->dup, row, 0), out, attune_at(c->dout, row, 0), gate, up,
                c->gate->dtype, c->function, c->gate->columns);
        else k->gated(out, gate, up, c->gate->dtype, c->function, c->gate->columns);
    }
}

void attune_gated_activation(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *gate, const attune_matrix *up,
    int32_t function) {
    attune_begin(machine);
    gated_context c = {.function = function, .out = out, .gate = gate, .up = up};
    run_rows(machine, gated_item, &c, gate);
    attune_end(machine);
}
void attune_gated_activation_backward(
    attune_machine *machine, const attune_matrix *dgate, const attune_matrix *dup, const attune_matrix *out,
    const attune_matrix *dout, const attune_matrix *gate, const attune_matrix *up, int32_t function) {
    attune_begin(machine);
    gated_context c = {
        .function = function, .out = out, .gate = gate, .up = up, .dgate = dgate, .dup = dup, .dout = dout};
    run_rows(machine, gated_item, &c, gate);
    attune_end(machine);
}

// MARK: Sums over rows

typedef struct {
    float *dvector;
    const attune_matrix *a, *b;
    const float *row_factor;
    float scale;
} column_context;

// One item is 128 columns of all rows, summed in the order of the rows.
static void column_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const column_context *c = context;
    int64_t column = item * 128, n = attune_min(128, c->a->columns - column);
    float sums[128] = {0}, in0[128], in1[128];
    for (int64_t row = 0; row < c->a->rows; row++) {
        const float *a = attune_read(k, c->a, row, column, n, in0);
        const float *b = c->b ? attune_read(k, c->b, row, column, n, in1) : NULL;
        k->multiply_add(sums, a, b, c->row_factor ? c->row_factor[row] : 1, n);
    }
    k->add(c->dvector + column, c->dvector + column, sums, c->scale, n);
}

void attune_column_dot(
    attune_machine *machine, float *dvector, const attune_matrix *a, const attune_matrix *b, const float *row_factor,
    float scale) {
    attune_begin(machine);
    column_context c = {dvector, a, b, row_factor, scale};
    attune_run(machine, column_item, &c, (a->columns + 127) / 128);
    attune_end(machine);
}

// MARK: RMSNorm (Zhang & Sennrich 2019)

typedef struct {
    const attune_matrix *out, *a, *b, *residual;
    float *rstd;
    const float *weight;
    float offset, epsilon;
} norm_context;

static void norm_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const norm_context *c = context;
    int64_t columns = c->a->columns;
    float *x = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, columns * 4);
    FOR_ROWS(row, c->a, item) {
        k->widen(x, attune_at(c->a, row, 0), c->a->dtype, columns);
        float rstd = 1 / sqrtf(k->dot(x, x, columns) / (float)columns + c->epsilon);
        c->rstd[row] = rstd;
        k->norm(x, x, c->weight, c->offset, rstd, columns);
        k->narrow(attune_at(c->out, row, 0), c->out->dtype, x, columns);
    }
}

void attune_rms_norm(
    attune_machine *machine, const attune_matrix *out, float *rstd, const attune_matrix *inp, const float *weight,
    float weight_offset, float epsilon) {
    attune_begin(machine);
    norm_context c = {
        .out = out, .a = inp, .rstd = rstd, .weight = weight, .offset = weight_offset, .epsilon = epsilon};
    run_rows(machine, norm_item, &c, inp);
    attune_end(machine);
}

// With y = x·r·w, r = 1/√(mean(x²) + ε): dx = r·(dy·w − x·r²·mean(dy·w·x)), dw = Σ_t dy·x·r.
static void norm_backward_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const norm_context *c = context;
    int64_t columns = c->a->columns;
    float *x = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, 2 * columns * 4), *dout = x + columns;
    float buffer[ATTUNE_CHUNK];
    FOR_ROWS(row, c->a, item) {
        k->widen(x, attune_at(c->b, row, 0), c->b->dtype, columns);
        k->widen(dout, attune_at(c->a, row, 0), c->a->dtype, columns);
        float rstd = c->rstd[row];
        float factor = k->norm_dot(dout, x, c->weight, c->offset, columns) * rstd * rstd / (float)columns;
        FOR_CHUNKS(i, n, columns) {
            const float *residual = c->residual ? attune_read(k, c->residual, row, i, n, buffer) : NULL;
            k->norm_backward(
                dout + i, dout + i, x + i, c->weight ? c->weight + i : NULL, residual, c->offset, rstd, factor, n);
        }
        k->narrow(attune_at(c->out, row, 0), c->out->dtype, dout, columns);
    }
}

void attune_rms_norm_backward(
    attune_machine *machine, const attune_matrix *dinp, float *dweight, const attune_matrix *dout,
    const attune_matrix *inp, const float *rstd, const float *weight, float weight_offset,
    const attune_matrix *residual) {
    // Before dinp is written, which may be dout.
    if (dweight) attune_column_dot(machine, dweight, dout, inp, rstd, 1);
    attune_begin(machine);
    norm_context c = {
        .out = dinp, .a = dout, .b = inp, .residual = residual, .rstd = (float *)rstd, .weight = weight,
        .offset = weight_offset};
    run_rows(machine, norm_backward_item, &c, dout);
    attune_end(machine);
}

// MARK: Rotary position (Su et al. 2021)

typedef struct {
    const attune_matrix *x;
    int64_t head_dimension, pairs, table_stride;
    const float *cosine, *sine;
    const int32_t *positions;
    float sign;
} rope_context;

static void rope_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const rope_context *c = context;
    float *buffer = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, 2 * c->pairs * 4);
    FOR_ROWS(row, c->x, item) {
        const float *cosine = c->cosine + c->positions[row] * c->table_stride;
        const float *sine = c->sine + c->positions[row] * c->table_stride;
        for (int64_t head = 0; head < c->x->columns; head += c->head_dimension) {
            float *x = attune_target(c->x, row, head, buffer);
            attune_read(k, c->x, row, head, 2 * c->pairs, buffer);
            k->rotate(x, cosine, sine, c->pairs, c->sign);
            attune_write(k, c->x, row, head, 2 * c->pairs, x);
        }
    }
}

void attune_rope(
    attune_machine *machine, const attune_matrix *x, int64_t head_dimension, const float *cosine, const float *sine,
    int64_t pairs, int64_t table_stride, const int32_t *positions, int32_t inverse) {
    attune_begin(machine);
    rope_context c = {x, head_dimension, pairs, table_stride, cosine, sine, positions, inverse ? -1 : 1};
    run_rows(machine, rope_item, &c, x);
    attune_end(machine);
}

// MARK: Randomness

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}
uint64_t attune_random_key(uint64_t seed, uint64_t step, uint32_t stream) {
    return mix(mix(mix(seed) ^ step) ^ stream);
}

typedef struct {
    const attune_matrix *out, *inp, *residual;
    float rate;
    const float *magnitude;
    uint64_t key;
    const int32_t *positions;
    const uint64_t *identities;
} random_context;

static void random_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const random_context *c = context;
    float u[ATTUNE_CHUNK], in0[ATTUNE_CHUNK], in1[ATTUNE_CHUNK], out0[ATTUNE_CHUNK];
    FOR_ROWS(row, c->out, item) {
        FOR_CHUNKS(i, n, c->out->columns) {
            k->uniform(u, c->key, (uint32_t)c->positions[row], c->identities[row], i, n);
            const float *inp = attune_read(k, c->inp, row, i, n, in0);
            float *out = attune_target(c->out, row, i, out0);
            if (c->magnitude) {
                float magnitude = c->magnitude[row];
                for (int64_t j = 0; j < n; j++) out[j] = inp[j] + magnitude * (2 * u[j] - 1);
            } else {
                const float *residual = c->residual ? attune_read(k, c->residual, row, i, n, in1) : NULL;
                k->mask(out, inp, u, residual, c->rate, 1 / (1 - c->rate), n);
            }
            attune_write(k, c->out, row, i, n, out);
        }
    }
}

void attune_dropout(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const attune_matrix *residual,
    float rate, uint64_t key, const int32_t *positions, const uint64_t *identities) {
    attune_begin(machine);
    random_context c = {out, inp, residual, rate, NULL, key, positions, identities};
    run_rows(machine, random_item, &c, out);
    attune_end(machine);
}

void attune_add_uniform_noise(
    attune_machine *machine, const attune_matrix *x, const float *magnitude, uint64_t key, const int32_t *positions,
    const uint64_t *identities) {
    attune_begin(machine);
    random_context c = {x, x, NULL, 0, magnitude, key, positions, identities};
    run_rows(machine, random_item, &c, x);
    attune_end(machine);
}

// MARK: Rows by index

typedef struct {
    const attune_matrix *out, *inp;
    const int32_t *rows;
    float scale;
    int32_t scatter;
} index_context;

static void index_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const index_context *c = context;
    const attune_matrix *list = c->scatter ? c->inp : c->out;
    float in0[ATTUNE_CHUNK], out0[ATTUNE_CHUNK];
    FOR_ROWS(row, list, item) {
        int64_t from = c->scatter ? row : c->rows[row], to = c->scatter ? c->rows[row] : row;
        FOR_CHUNKS(i, n, list->columns) {
            if (c->scale == 1 && c->inp->dtype == c->out->dtype) {
                memmove(
                    attune_at(c->out, to, i), attune_at(c->inp, from, i), (size_t)(n * attune_width(c->out->dtype)));
                continue;
            }
            const float *inp = attune_read(k, c->inp, from, i, n, in0);
            float *out = attune_target(c->out, to, i, out0);
            k->scale(out, inp, c->scale, n);
            attune_write(k, c->out, to, i, n, out);
        }
    }
}

void attune_gather_rows(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *table, const int32_t *rows, float scale) {
    attune_begin(machine);
    index_context c = {out, table, rows, scale, 0};
    run_rows(machine, index_item, &c, out);
    attune_end(machine);
}
typedef struct {
    const attune_matrix *out;
    const attune_weight *weight;
    const int32_t *rows;
    float scale;
} packed_context;

// Elements i ..< i + n of a row of the matrix; i is even, and an odd n leaves one more than was asked for.
static void unpanel(void *to, const attune_weight *w, int64_t row, int64_t i, int64_t n) {
    int64_t panel = row / 64, column = row % 64;
    if (w->dtype == ATTUNE_F32) {
        const float *from = (const float *)w->data + (panel * w->in + i) * 64 + column;
        for (int64_t j = 0; j < n; j++) ((float *)to)[j] = from[j * 64];
        return;
    }
    const uint32_t *pairs = (const uint32_t *)w->data + (panel * ((w->in + 1) / 2) + i / 2) * 64 + column;
    for (int64_t j = 0; 2 * j < n; j++) ((uint32_t *)to)[j] = pairs[j * 64];
}

static void packed_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const packed_context *c = context;
    _Alignas(64) float line[ATTUNE_CHUNK], wide[ATTUNE_CHUNK];
    FOR_ROWS(row, c->out, item) {
        FOR_CHUNKS(i, n, c->out->columns) {
            unpanel(line, c->weight, c->rows[row], i, n);
            void *to = attune_at(c->out, row, i);
            if (c->scale == 1 && c->weight->dtype == c->out->dtype) {
                memcpy(to, line, (size_t)(n * attune_width(c->out->dtype)));
                continue;
            }
            k->widen(wide, line, c->weight->dtype, n);
            k->scale(wide, wide, c->scale, n);
            k->narrow(to, c->out->dtype, wide, n);
        }
    }
}

void attune_gather_packed(
    attune_machine *machine, const attune_matrix *out, const attune_weight *weight, const int32_t *rows, float scale) {
    attune_begin(machine);
    packed_context c = {out, weight, rows, scale};
    run_rows(machine, packed_item, &c, out);
    attune_end(machine);
}
void attune_scatter_rows(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const int32_t *rows) {
    attune_begin(machine);
    index_context c = {out, inp, rows, 1, 1};
    // Rows may name the same place twice; one thread keeps the last.
    for (int64_t item = 0, step = rows_per_item(inp); item * step < inp->rows; item++) index_item(machine, &c, item, 0);
    attune_end(machine);
}

static void embed_backward_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const index_context *c = context;
    int64_t column = item * 128, n = attune_min(128, c->inp->columns - column);
    float buffer[128];
    for (int64_t row = 0; row < c->inp->rows; row++) {
        float *to = attune_at(c->out, c->rows[row], column);
        k->add(to, to, attune_read(k, c->inp, row, column, n, buffer), c->scale, n);
    }
}

void attune_embed_backward(
    attune_machine *machine, const attune_matrix *dtable, const attune_matrix *dout, const int32_t *ids, float scale) {
    attune_begin(machine);
    index_context c = {dtable, dout, ids, scale, 0};
    attune_run(machine, embed_backward_item, &c, (dout->columns + 127) / 128);
    attune_end(machine);
}

// MARK: Cross-entropy

typedef struct {
    float *losses;
    int32_t *predictions;
    const attune_matrix *dlogits, *logits;
    const int32_t *targets;
    float logit_scale, softcap, smoothing, gradient_scale;
} entropy_context;

// A chunk of capped logits: the logits themselves where nothing is to be done.
static const float *capped_chunk(
    const attune_kernels *k, const entropy_context *c, int64_t row, int64_t i, int64_t n, float *buffer) {
    const float *logits = attune_read(k, c->logits, row, i, n, buffer);
    if (c->logit_scale == 1 && c->softcap <= 0) return logits;
    k->cap(buffer, logits, c->logit_scale, c->softcap, n);
    return buffer;
}

// z = cap(logit·scale), lse = log Σ eᶻ; loss = lse − (1−ε)·z_t − ε/V·Σ z; dz = (eᶻ⁻ˡˢᵉ − (1−ε)·[t] −
// ε/V)·gradientScale.
static void entropy_item(attune_machine *machine, void *context, int64_t row, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const entropy_context *c = context;
    int64_t columns = c->logits->columns, best = 0;
    float max = -INFINITY, buffer[ATTUNE_CHUNK], spare[ATTUNE_CHUNK];
    double sum = 0, total = 0;
    FOR_CHUNKS(i, n, columns) {
        const float *z = capped_chunk(k, c, row, i, n, buffer);
        float chunk_max = k->max(z, n);
        if (chunk_max > max) {
            sum *= exp((double)max - chunk_max);
            max = chunk_max;
            int64_t j = 0;
            while (j < n - 1 && z[j] != chunk_max) j++;
            best = i + j;
        }
        sum += k->exp_sum(spare, z, max, n);
        if (c->smoothing > 0) for (int64_t j = 0; j < n; j++) total += z[j];
    }
    float lse = max + (float)log(sum);
    int32_t target = c->targets[row];
    int has_target = target >= 0 && target < columns;
    c->predictions[row] = (int32_t)best;
    float target_z = 0;
    if (has_target) {
        target_z = *capped_chunk(k, c, row, target, 1, buffer);
    }
    float smooth = c->smoothing / (float)columns;
    c->losses[row] =
        has_target ? (float)((double)lse - (1 - c->smoothing) * (double)target_z - smooth * total) : 0;
    if (!c->dlogits) return;
    FOR_CHUNKS(i, n, columns) {
        float *out = attune_target(c->dlogits, row, i, spare);
        if (!has_target) {
            memset(out, 0, (size_t)n * 4);
        } else {
            const float *z = capped_chunk(k, c, row, i, n, buffer);
            float factor = c->gradient_scale * c->logit_scale;
            k->logit_gradient(out, z, lse, smooth, factor, c->softcap, n);
            if (target >= i && target < i + n) {
                float t = c->softcap > 0 ? target_z / c->softcap : 0;
                float p = expf(target_z - lse);
                out[target - i] = (p - (1 - c->smoothing) - smooth) * factor * (1 - t * t);
            }
        }
        attune_write(k, c->dlogits, row, i, n, out);
    }
}

void attune_cross_entropy(
    attune_machine *machine, float *losses, int32_t *predictions, const attune_matrix *dlogits,
    const attune_matrix *logits, const int32_t *targets, float logit_scale, float softcap, float label_smoothing,
    float gradient_scale) {
    attune_begin(machine);
    entropy_context c = {
        losses, predictions, dlogits, logits, targets, logit_scale, softcap, label_smoothing, gradient_scale};
    attune_run(machine, entropy_item, &c, logits->rows);
    attune_end(machine);
}

// dweight[o][i] += scale·Σ_t dout[t][o]·inp[t][i]: k is t.
//
// One side makes the panels, the other the rows of the tiles; when dout makes the panels the tile holds the gradient
// turned. Float32 tiles take t in runs that fit the second-level cache, each run's sum added to dweight in its turn;
// their rows are laid out twelve side by side, so a tile walks memory forward.
#include "linear.h"

#define RUN 1024             // of t
#define ROWS_BYTES (8 << 20)  // of a run of the row side when it may be the wider one

typedef struct {
    const attune_matrix *dweight;
    const attune_matrix *row_side, *panel_side;
    float scale;
    int32_t dtype, turned;
    int64_t t0, count;   // this run of t
    char *rows;          // f32: [columns/12][count][12]; pairs: the row side turned, [columns][count padded]
    int64_t row_stride;  // of pairs, bytes
    int64_t whole;       // panels that are one item each; those that follow are cut into `chunks` items of `chunk_rows`
    int64_t chunks, chunk_rows;
} gradient_context;

#define SIDE_COLUMNS 192  // of the row side that an item lays out

// Rows of the run, twelve columns side by side.
static void lay_out_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const gradient_context *c = context;
    const attune_matrix *x = c->row_side;
    int64_t first = item * SIDE_COLUMNS, columns = attune_min(SIDE_COLUMNS, x->columns - first);
    float line[SIDE_COLUMNS] = {0};
    float *out = (float *)c->rows + first * c->count;
    for (int64_t t = 0; t < c->count; t++) {
        const char *ahead = attune_at(x, c->t0 + t + 8, first);
        for (int64_t i = 0; i < columns * attune_width(x->dtype); i += 64) __builtin_prefetch(ahead + i);
        k->widen(line, attune_at(x, c->t0 + t, first), x->dtype, columns);
        for (int64_t j = 0; j < columns; j += ATTUNE_TALL)
            memcpy(out + j * c->count + t * ATTUNE_TALL, line + j, ATTUNE_TALL * 4);
    }
}

// Turns 64 columns of the row side into operand rows of pairs.
static void turn_columns(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const gradient_context *c = context;
    const attune_matrix *x = c->row_side;
    int64_t column = item * 64, columns = attune_min(64, x->columns - column);
    _Alignas(64) float block[64 * 64], turned[64 * 64];
    for (int64_t t0 = 0; t0 < c->count; t0 += 64) {
        int64_t count = attune_min(64, c->count - t0);
        for (int64_t t = 0; t < count; t++)
            k->widen(block + t * 64, attune_at(x, c->t0 + t0 + t, column), x->dtype, columns);
        if (count < 64) memset(block + count * 64, 0, (size_t)(64 - count) * 256);
        k->transpose_block32(turned, block);
        for (int64_t i = 0; i < columns; i++)
            k->narrow(
                c->rows + (column + i) * c->row_stride + t0 * attune_width(c->dtype), c->dtype, turned + i * 64, 64);
    }
}

// 64 columns of the panel side as a panel over this run of t.
static const void *panel_of(
    attune_machine *machine, const gradient_context *c, int64_t column, int64_t n, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const attune_matrix *x = c->panel_side;
    char *scratch = attune_scratch(machine, thread, ATTUNE_SCRATCH_PANEL, (c->count + 63) / 64 * 64 * 64 * 4);
    if (c->dtype == ATTUNE_F32) {
        k->widen_lines((float *)scratch, 64, attune_at(x, c->t0, column), x->dtype, x->stride, c->count, n, 64);
        return scratch;
    }
    const uint16_t *pointers[64];
    for (int64_t t0 = 0; t0 < c->count; t0 += 64) {
        int64_t count = attune_min(64, c->count - t0);
        for (int64_t t = 0; t < count; t++) pointers[t] = attune_at(x, c->t0 + t0 + t, column);
        k->pack_pairs16((uint16_t *)scratch + t0 * 64, pointers, count, n);
    }
    return scratch;
}

// Adds sums [rows][64] of dweight's columns, or of its rows when turned, in squares of 64.
static void add_sums(
    const attune_kernels *k, const gradient_context *c, const float *sums, int64_t row, int64_t rows, int64_t column,
    int64_t n) {
    float *base = c->dweight->data;
    int64_t stride = c->dweight->stride;
    if (!c->turned) {
        for (int64_t m = 0; m < rows; m++) {
            float *to = base + (row + m) * stride + column;
            k->add(to, to, sums + m * 64, c->scale, n);
        }
        return;
    }
    _Alignas(64) float turned[64 * 64];
    k->transpose_block32(turned, sums);
    for (int64_t j = 0; j < n; j++) {
        float *to = base + (column + j) * stride + row;
        k->add(to, to, turned + j * 64, c->scale, rows);
    }
}

static void gradient_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const gradient_context *c = context;
    int64_t panel = item, first = 0, end = c->row_side->columns;
    if (item >= c->whole) {
        panel = c->whole + (item - c->whole) / c->chunks;
        first = (item - c->whole) % c->chunks * c->chunk_rows;
        end = attune_min(first + c->chunk_rows, end);
    }
    int64_t column = panel * 64, n = attune_min(64, c->panel_side->columns - column);
    int32_t width = (int32_t)((n + 15) / 16);
    attune_product product = {.panel = panel_of(machine, c, column, n, thread), .k = c->count, .step = 1};
    int32_t most = c->dtype == ATTUNE_F32 && width <= 2 ? k->tall : ATTUNE_TILE;
    _Alignas(64) float sums[64 * 64];
    // Sixty rows: whole tiles of six and of twelve, inside one square.
    for (int64_t block = first; block < end; block += 60) {
        int64_t block_end = attune_min(block + 60, end);
        for (int64_t row = block; row < block_end;) {
            int32_t rows = (int32_t)attune_min(most, block_end - row);
            for (int32_t m = 0; m < rows; m++) {
                int64_t at = row + m;
                product.rows[m] = c->dtype == ATTUNE_F32 ? c->rows + ((at / 12 * 12) * c->count + at % 12) * 4
                                                         : c->rows + at * c->row_stride;
            }
            float *acc = sums + (row - block) * 64;
            if (c->dtype == ATTUNE_BF16) {
                k->tile_bf16(acc, 64, 0, &product, 1, rows, width);
            } else {
                product.step = ATTUNE_TALL;
                k->tile_f32(acc, 64, 0, &product, 1, rows, width);
            }
            row += rows;
        }
        add_sums(k, c, sums, block, block_end - block, column, n);
    }
}

void attune_weight_gradient(
    attune_machine *machine, const attune_matrix *dweight, const attune_matrix *dout, const attune_matrix *inp,
    float scale) {
    attune_begin(machine);
    gradient_context c = {.dweight = dweight, .scale = scale};
    c.dtype = dout->dtype == ATTUNE_BF16 && inp->dtype == ATTUNE_BF16 && machine->kernels->tile_bf16 ? ATTUNE_BF16
                                                                                                       : ATTUNE_F32;
    int64_t run = c.dtype == ATTUNE_F32 ? RUN : dout->rows;
    // The narrower side makes the rows; dout too where it is not much, as then nothing need be turned.
    int fits = inp->columns >= 64 && dout->columns * attune_min(run, dout->rows) * 4 <= ROWS_BYTES;
    c.turned = dout->columns > inp->columns && !fits;
    c.row_side = c.turned ? inp : dout;
    c.panel_side = c.turned ? dout : inp;
    int64_t columns = c.row_side->columns, panels = (c.panel_side->columns + 63) / 64;
    // Few panels are all cut; of many, those that would leave threads idle in the last round.
    int64_t most = (columns + 119) / 120;
    c.chunks = machine->threads > 1 ? attune_min(most, 8 * machine->threads / panels) : 1;
    c.whole = 0;
    if (c.chunks < 2) {
        c.chunks = attune_min(most, machine->threads);
        c.whole = panels - panels % machine->threads;
    }
    c.chunk_rows = ((columns + c.chunks - 1) / c.chunks + ATTUNE_TALL - 1) / ATTUNE_TALL * ATTUNE_TALL;
    c.chunks = (columns + c.chunk_rows - 1) / c.chunk_rows;
    for (c.t0 = 0; c.t0 < dout->rows; c.t0 += c.count) {
        c.count = attune_min(run, dout->rows - c.t0);
        c.row_stride = (c.count + 63) / 64 * 64 * 2;
        int64_t bytes = c.dtype == ATTUNE_F32 ? (columns + ATTUNE_TALL) * c.count * 4 : c.row_stride * columns;
        c.rows = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, bytes);
        if (c.dtype == ATTUNE_F32) attune_run(machine, lay_out_item, &c, (columns + SIDE_COLUMNS - 1) / SIDE_COLUMNS);
        else attune_run(machine, turn_columns, &c, (columns + 63) / 64);
        attune_run(machine, gradient_item, &c, c.whole + (panels - c.whole) * c.chunks);
    }
    attune_end(machine);
}

// dweight[o][i] += scale·Σ_t dout[t][o]·inp[t][i]: k is t.
//
// One side makes the panels, the other the rows of the tiles; when dout makes the panels the tile holds the gradient
// turned. Float32 tiles take t in runs that fit the second-level cache, each run's sum added to dweight in its turn;
// their rows are laid out twelve side by side, so a tile walks memory forward.
//
// Where one side is narrow, as in the gradients of low-rank pairs, a panel would serve a few tiles only: nothing is laid out
// then, tiles take the lines of the wide side and the columns of the narrow one where they lie.
#include "linear.h"

#define RUN 1024             // of t
#define ROWS_BYTES (8 << 20)  // of a run of the row side when it may be the wider one
#define NARROW 64            // columns of a narrow side
#define BLOCK_BYTES (96 << 10)  // of the wide side that tiles take one after another

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
    int64_t chunk_columns;  // of one item where a side is narrow
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

static void lay_out_row_side(attune_machine *machine, gradient_context *c) {
    int64_t columns = c->row_side->columns;
    c->rows = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, (columns + ATTUNE_TALL) * c->count * 4);
    attune_run(machine, lay_out_item, c, (columns + SIDE_COLUMNS - 1) / SIDE_COLUMNS);
}

// Turns a square of the row side into operand rows of pairs.
static void turn_square(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const gradient_context *c = context;
    const attune_matrix *x = c->row_side;
    int64_t squares = (c->count + 63) / 64, t0 = item % squares * 64, count = attune_min(64, c->count - t0);
    int64_t column = item / squares * 64, columns = attune_min(64, x->columns - column);
    _Alignas(64) float block[64 * 64], turned[64 * 64];
    for (int64_t t = 0; t < count; t++)
        k->widen(block + t * 64, attune_at(x, c->t0 + t0 + t, column), x->dtype, columns);
    if (count < 64) memset(block + count * 64, 0, (size_t)(64 - count) * 256);
    k->transpose_block32(turned, block);
    for (int64_t i = 0; i < columns; i++)
        k->narrow(c->rows + (column + i) * c->row_stride + t0 * attune_width(c->dtype), c->dtype, turned + i * 64, 64);
}

static void turn_row_side(attune_machine *machine, gradient_context *c) {
    int64_t columns = c->row_side->columns, squares = (c->count + 63) / 64;
    c->row_stride = squares * 64 * 2;
    c->rows = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, c->row_stride * columns);
    attune_run(machine, turn_square, c, squares * ((columns + 63) / 64));
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
    attune_product product = {
        .panel = panel_of(machine, c, column, n, thread), .k = c->count, .step = 1, .line = ATTUNE_PANEL};
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

// Some columns of the wide side, all of the narrow one: block by block of t, whose lines come from memory but once.
static void narrow_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const gradient_context *c = context;
    const attune_matrix *wide = c->panel_side, *narrow = c->row_side;
    int64_t first = item * c->chunk_columns, end = attune_min(first + c->chunk_columns, wide->columns);
    int64_t rows = narrow->columns, width = attune_width(c->dtype), panels = (end - first + 63) / 64;
    int64_t block = attune_max(32, BLOCK_BYTES / ((end - first) * width) / 32 * 32);
    float *sums = attune_scratch(machine, thread, ATTUNE_SCRATCH_PANEL, panels * 64 * 64 * 4);
    attune_product product = {.line = wide->stride, .step = c->dtype == ATTUNE_F32 ? narrow->stride : 1};
    for (int64_t t0 = 0; t0 < c->count; t0 += block) {
        product.k = attune_min(block, c->count - t0);
        int64_t later = attune_min(block, c->count - t0 - product.k);
        for (int64_t column = first; column < end; column += 64) {
            int64_t n = attune_min(64, end - column);
            product.panel = attune_at(wide, c->t0 + t0, column);
            for (int64_t t = 0; t < later; t++) {
                const char *line = attune_at(wide, c->t0 + t0 + product.k + t, column);
                for (int64_t at = 0; at < n * width; at += 64) __builtin_prefetch(line + at, 0, 2);
            }
            int32_t vectors = (int32_t)(n / 16), most = c->dtype == ATTUNE_F32 && vectors <= 2 ? k->tall : ATTUNE_TILE;
            for (int64_t row = 0; row < rows;) {
                int32_t tile_rows = attune_even_tile(rows - row, most);
                float *acc = sums + (column - first) * 64 + row * 64;
                for (int32_t m = 0; m < tile_rows; m++)
                    product.rows[m] = c->dtype == ATTUNE_F32 ? attune_at(narrow, c->t0 + t0, row + m)
                                                             : c->rows + (row + m) * c->row_stride + t0 * 2;
                if (c->dtype == ATTUNE_F32) k->tile_f32(acc, 64, t0 > 0, &product, 1, tile_rows, vectors);
                else k->tile_bf16_lines(acc, 64, t0 > 0, &product, tile_rows, vectors);
                row += tile_rows;
            }
        }
    }
    for (int64_t column = first; column < end; column += 64)
        add_sums(k, c, sums + (column - first) * 64, 0, rows, column, attune_min(64, end - column));
}

// Whether nothing need be laid out: one side is narrow, and tiles can read the lines of the other where they lie.
static int takes_lines(const attune_matrix *dout, const attune_matrix *inp, int32_t dtype) {
    int64_t wide = attune_max(dout->columns, inp->columns);
    return attune_min(dout->columns, inp->columns) <= NARROW && wide % 16 == 0 && dout->dtype == dtype &&
           inp->dtype == dtype;
}

static void lines_gradient(attune_machine *machine, gradient_context *c, int64_t run) {
    // Wide pieces: short runs of memory far apart are slow to read.
    int64_t columns = c->panel_side->columns, all = c->panel_side->rows;
    int64_t pieces = machine->threads * (columns >= machine->threads * 2 * 256 ? 2 : 1);
    c->chunk_columns = (columns / 16 + pieces - 1) / pieces * 16;
    for (c->t0 = 0; c->t0 < all; c->t0 += c->count) {
        c->count = attune_min(run, all - c->t0);
        if (c->dtype != ATTUNE_F32) turn_row_side(machine, c);
        attune_run(machine, narrow_item, c, (columns + c->chunk_columns - 1) / c->chunk_columns);
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
    // The narrower side makes the rows; dout too where it must be laid out and is not much, as then nothing need be turned.
    int lines = takes_lines(dout, inp, c.dtype);
    int fits = inp->columns >= 64 && dout->columns * attune_min(run, dout->rows) * 4 <= ROWS_BYTES;
    c.turned = dout->columns > inp->columns && (lines || !fits);
    c.row_side = c.turned ? inp : dout;
    c.panel_side = c.turned ? dout : inp;
    if (lines) {
        lines_gradient(machine, &c, run);
        attune_end(machine);
        return;
    }
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
        if (c.dtype == ATTUNE_F32) lay_out_row_side(machine, &c);
        else turn_row_side(machine, &c);
        attune_run(machine, gradient_item, &c, c.whole + (panels - c.whole) * c.chunks);
    }
    attune_end(machine);
}

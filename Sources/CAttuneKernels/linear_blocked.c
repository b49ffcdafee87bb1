// A product of many rows, blocked for the second-level cache (Goto and van de Geijn 2008).
//
// The weight's panels are expanded once into memory all threads read, a group of panels and a run of k at a time. An
// item takes a block of rows, where they lie or converted into memory of its thread, and multiplies it with a few
// panels, so that what a tile reads again and again, the panel and the rows, comes from the second-level cache. Where k
// is cut the sums wait in float32 and go on where they stopped: every element is still one sum over k in rising order.
//
// Gradients of logits are nearly all nearly zero. Where the caller says what is negligible, a tile leaves out the k whose
// operands are all smaller (Wijmans et al. 2024, Cut Cross-Entropy).
#include "linear.h"

#define RUN 1536               // of k at most
#define ROW_BYTES (384 << 10)  // of a block of rows
#define MOST_ROWS 192          // of a block
#define PANEL_BYTES (8 << 20)  // of expanded panels
#define ITEM_PANELS 12        // an item multiplies at most: enough that converting its rows costs one in a hundred
#define TURNED_PANELS 4        // an item turns 64 k of
#define SUM_ROWS 2048          // that wait at a time where k is cut

typedef struct {
    const attune_linear_arguments *arguments;
    int32_t dtype;     // of the tile's operands
    int32_t in_place;  // panels are read where they lie
    int32_t rows_lie;  // rows too: they have the tile's type, and a tile's do not fall into the same sets of a cache
    int64_t width;     // bytes of an operand element
    int64_t columns;
    // This pass: panels first_panel ..< first_panel + panels, k0 ..< k0 + kn of them, rows first_row ..< end_row.
    int64_t first_panel, panels, k0, kn, extra, first_row, end_row;
    int32_t is_first, is_last;
    char *expanded;        // [panels][line_bytes·(padded kn, then padded extra)]
    int64_t panel_stride;  // bytes
    int64_t extra_offset;  // bytes from a panel to its low-rank lines
    float *sums;           // [panels][end_row − first_row][64], or NULL where k is not cut
    int64_t block_rows, blocks, group;
} blocked_context;

static int64_t padded(int64_t k) { return (k + 63) / 64 * 64; }

// `n` elements of a row in the tile's type, followed by zeros to a whole pair.
static void convert_row(
    const attune_kernels *k, const blocked_context *c, char *to, const attune_matrix *from, int64_t row,
    int64_t column, int64_t n) {
    if (c->dtype == ATTUNE_F32) {
        k->widen((float *)to, attune_at(from, row, column), from->dtype, n);
    } else if (from->dtype == c->dtype) {
        memcpy(to, attune_at(from, row, column), (size_t)(n * c->width));
    } else {
        for (int64_t i = 0; i < n; i += ATTUNE_CHUNK) {
            float buffer[ATTUNE_CHUNK];
            int64_t some = attune_min(ATTUNE_CHUNK, n - i);
            k->narrow(to + 2 * i, c->dtype, attune_read(k, from, row, column + i, some, buffer), some);
        }
    }
}

// A panel's low-rank lines.
static void expand_extra(const attune_kernels *k, const blocked_context *c, int64_t panel) {
    const attune_linear_arguments *a = c->arguments;
    char *to = c->expanded + panel * c->panel_stride + c->extra_offset;
    const void *at =
        attune_weight_lines(k, a->extra_weight, c->first_panel + panel, 0, c->extra, a->transposed, c->dtype, to);
    if (at != to) memcpy(to, at, (size_t)(attune_panel_lines(c->extra, c->dtype) * 256));
}

// A panel over this run of k.
static void expand_panel(const attune_kernels *k, const blocked_context *c, int64_t panel) {
    if (!c->in_place)
        attune_weight_lines(
            k, c->arguments->weight, c->first_panel + panel, c->k0, c->kn, 0, c->dtype,
            c->expanded + panel * c->panel_stride);
    if (c->extra > 0) expand_extra(k, c, panel);
}

// 64 k of a few turned panels: of the weight's own panels, one, which is read from front to back.
static void turn_squares(const attune_kernels *k, const blocked_context *c, int64_t item) {
    int64_t groups = (c->panels + TURNED_PANELS - 1) / TURNED_PANELS, first = item % groups * TURNED_PANELS;
    int64_t k0 = item / groups * 64;
    for (int64_t panel = first; panel < attune_min(first + TURNED_PANELS, c->panels); panel++) {
        attune_weight_lines(
            k, c->arguments->weight, c->first_panel + panel, c->k0 + k0, attune_min(64, c->kn - k0), 1, c->dtype,
            c->expanded + panel * c->panel_stride + attune_panel_lines(k0, c->dtype) * 256);
        if (k0 == 0 && c->extra > 0) expand_extra(k, c, panel);
    }
}

static void expand_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const blocked_context *c = context;
    if (c->arguments->transposed) turn_squares(machine->kernels, c, item);
    else expand_panel(machine->kernels, c, item);
}

// What of the weight and its low-rank lines is not read in place.
static void expand(attune_machine *machine, blocked_context *c) {
    if (c->in_place && c->extra == 0) return;
    c->expanded = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, c->panels * c->panel_stride);
    int64_t groups = (c->panels + TURNED_PANELS - 1) / TURNED_PANELS;
    attune_run(machine, expand_item, c, c->arguments->transposed ? (c->kn + 63) / 64 * groups : c->panels);
}

// Which 64 k of a converted row hold an element larger than `negligible`: a bit each.
static uint32_t live_blocks(const blocked_context *c, const char *row, float negligible) {
    uint32_t live = 0;
    for (int64_t k0 = 0; k0 < c->kn; k0 += 64) {
        int64_t n = attune_min(64, c->kn - k0);
        uint32_t largest = 0;
        // Magnitudes compare as their bits do; NaN is the largest.
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits;
            if (c->dtype == ATTUNE_F32) memcpy(&bits, row + (k0 + i) * 4, 4);
            else bits = (uint32_t)((const uint16_t *)row)[k0 + i] << 16;
            bits &= 0x7FFFFFFF;
            largest = bits > largest ? bits : largest;
        }
        if (largest > attune_bits(negligible)) live |= 1u << (k0 / 64);
    }
    return live;
}

// The product over the runs of k that are live in a tile's rows. Returns how many runs there are.
static int64_t live_runs(
    const blocked_context *c, attune_product *runs, const attune_product *whole, int32_t rows, uint32_t live) {
    int64_t count = 0;
    for (int64_t k0 = 0; k0 < c->kn;) {
        if (!(live >> (k0 / 64) & 1)) {
            k0 += 64;
            continue;
        }
        int64_t end = k0;
        while (end < c->kn && live >> (end / 64) & 1) end += 64;
        attune_product *run = runs + count++;
        run->step = 1;
        run->line = ATTUNE_PANEL;
        run->wanted = NULL;
        run->k = attune_min(end, c->kn) - k0;
        run->panel = (const char *)whole->panel + attune_panel_lines(k0, c->dtype) * 256;
        for (int32_t m = 0; m < rows; m++) run->rows[m] = (const char *)whole->rows[m] + k0 * c->width;
        k0 = end;
    }
    return count;
}

static void multiply_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const blocked_context *c = context;
    const attune_linear_arguments *a = c->arguments;
    int64_t first = c->first_row + item % c->blocks * c->block_rows, end = attune_min(first + c->block_rows, c->end_row);
    int64_t panel = item / c->blocks * c->group, panel_end = attune_min(panel + c->group, c->panels);
    // One cache line more than the row is what keeps those of a tile out of the same sets of a cache.
    int64_t extra_at = c->rows_lie ? 0 : padded(c->kn) * c->width;
    int64_t made_stride = extra_at + padded(c->extra) * c->width + 64;
    char *made = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, made_stride * c->block_rows);
    const char *rows_at = c->rows_lie ? attune_at(a->inp, first, c->k0) : made, *extra_rows = made + extra_at;
    int64_t row_stride = c->rows_lie ? a->inp->stride * c->width : made_stride;
    uint32_t live[MOST_ROWS];
    for (int64_t i = 0; i < end - first; i++) {
        char *to = made + i * made_stride;
        if (!c->rows_lie) convert_row(k, c, to, a->inp, first + i, c->k0, c->kn);
        if (a->negligible > 0) live[i] = live_blocks(c, rows_at + i * row_stride, a->negligible);
        if (c->extra > 0) convert_row(k, c, to + extra_at, a->extra_inp, first + i, 0, c->extra);
    }
    attune_product products[2] = {
        {.k = c->kn, .step = 1, .line = ATTUNE_PANEL}, {.k = c->extra, .step = 1, .line = ATTUNE_PANEL}};
    for (; panel < panel_end; panel++) {
        int64_t column = (c->first_panel + panel) * 64, n = attune_min(64, c->columns - column);
        int32_t width = (int32_t)((n + 15) / 16);
        int32_t most = c->dtype == ATTUNE_F32 && width <= 2 ? k->tall : ATTUNE_TILE;
        char *expanded = c->expanded ? c->expanded + panel * c->panel_stride : NULL;
        products[0].panel =
            c->in_place
                ? attune_weight_lines(k, a->weight, c->first_panel + panel, c->k0, c->kn, 0, c->dtype, NULL)
                : expanded;
        products[1].panel = c->extra > 0 ? expanded + c->extra_offset : NULL;
        _Alignas(64) float tile[ATTUNE_TALL * ATTUNE_PANEL];
        attune_wanted ahead = {NULL, 0}, wanted[ATTUNE_WANTED];
        if (panel + 1 < panel_end) {
            ahead.at = c->in_place ? attune_weight_lines(
                                         k, a->weight, c->first_panel + panel + 1, c->k0, c->kn, 0, c->dtype, NULL)
                                   : expanded + c->panel_stride;
            ahead.bytes = attune_panel_lines(c->kn, c->dtype) * 256;
        }
        products[0].wanted_lines = attune_wanted_lines(&ahead, &products[0], (end - first + most - 1) / most);
        for (int64_t row = first; row < end;) {
            int32_t rows = attune_even_tile(end - row, most);
            attune_fetch_ahead(NULL, &ahead, &products[0], c->dtype, (end - row + most - 1) / most, wanted);
            for (int32_t m = 0; m < rows; m++) {
                products[0].rows[m] = rows_at + (row - first + m) * row_stride;
                products[1].rows[m] = extra_rows + (row - first + m) * made_stride;
            }
            // Where the tile's results go, and what is added to them, comes while it is multiplied.
            if (c->is_last) attune_expect_tile(a, row, rows, column);
            float *acc = tile;
            if (c->sums) acc = c->sums + (panel * (c->end_row - c->first_row) + row - c->first_row) * 64;
            int64_t count = c->extra > 0 ? 2 : 1;
            const attune_product *multiplied = products;
            attune_product runs[RUN / 64 + 1];
            if (a->negligible > 0) {
                uint32_t any = 0;
                for (int32_t m = 0; m < rows; m++) any |= live[row - first + m];
                count = live_runs(c, runs, products, rows, any);
                if (c->extra > 0) runs[count++] = products[1];
                multiplied = runs;
            }
            if (c->dtype == ATTUNE_BF16) k->tile_bf16(acc, 64, !c->is_first, multiplied, count, rows, width);
            else k->tile_f32(acc, 64, !c->is_first, multiplied, count, rows, width);
            if (c->is_last) attune_finish_tile(k, a, acc, row, rows, column, n);
            row += rows;
        }
    }
}

// Blocks of rows and groups of panels: as large as the caches allow, and enough items that no thread waits long.
static void cut_items(blocked_context *c, int32_t threads) {
    // Twice as many items where none has to convert its rows.
    int64_t rows = c->end_row - c->first_row, wanted = (c->rows_lie ? 16 : 8) * threads;
    int64_t most = ROW_BYTES / ((c->kn + c->extra) * c->width) / ATTUNE_TALL * ATTUNE_TALL;
    most = attune_max(2 * ATTUNE_TALL, attune_min(MOST_ROWS, most));
    c->group = attune_min(ITEM_PANELS, c->panels);
    // Equal groups.
    c->group = (c->panels + (c->panels + c->group - 1) / c->group - 1) / ((c->panels + c->group - 1) / c->group);
    int64_t groups = (c->panels + c->group - 1) / c->group;
    int64_t blocks = attune_max((rows + most - 1) / most, attune_min((wanted + groups - 1) / groups, rows / 48));
    blocks = attune_max(1, blocks);
    // Fewer panels an item where rows are too few for all threads.
    c->group = attune_min(c->group, attune_max(1, c->panels * blocks / wanted));
    c->block_rows = ((rows + blocks - 1) / blocks + ATTUNE_TALL - 1) / ATTUNE_TALL * ATTUNE_TALL;
    c->blocks = (rows + c->block_rows - 1) / c->block_rows;
}

void attune_linear_blocked(attune_machine *machine, const attune_linear_arguments *a, int32_t dtype) {
    blocked_context c = {.arguments = a, .dtype = dtype, .width = attune_width(dtype)};
    c.columns = a->transposed ? a->weight->in : a->weight->out;
    c.in_place = !a->transposed && a->weight->kind == ATTUNE_WEIGHT_DENSE && a->weight->dtype == dtype;
    c.rows_lie = a->inp->dtype == dtype && a->inp->stride * c.width % 4096 != 0;
    int64_t k = a->transposed ? a->weight->out : a->weight->in;
    int64_t extra = !a->extra_weight ? 0 : a->transposed ? a->extra_weight->out : a->extra_weight->in;
    int64_t runs = (k + RUN - 1) / RUN, run = padded((k + runs - 1) / runs);
    int64_t all_panels = (c.columns + 63) / 64, all_rows = a->inp->rows;
    c.extra_offset = c.in_place ? 0 : attune_panel_lines(padded(attune_min(run, k)), dtype) * 256;
    c.panel_stride = c.extra_offset + attune_panel_lines(padded(extra), dtype) * 256;
    int64_t most_panels = c.panel_stride > 0 ? attune_max(1, PANEL_BYTES / c.panel_stride) : all_panels;
    int64_t most_rows = run < k ? SUM_ROWS : all_rows;
    for (c.first_row = 0; c.first_row < all_rows; c.first_row = c.end_row) {
        c.end_row = attune_min(c.first_row + most_rows, all_rows);
        for (c.first_panel = 0; c.first_panel < all_panels; c.first_panel += c.panels) {
            c.panels = attune_min(most_panels, all_panels - c.first_panel);
            if (run < k)
                c.sums = attune_scratch(
                    machine, 0, ATTUNE_SCRATCH_SHARED2, c.panels * (c.end_row - c.first_row) * ATTUNE_PANEL * 4);
            for (c.k0 = 0; c.k0 < k; c.k0 += run) {
                c.kn = attune_min(run, k - c.k0);
                c.is_first = c.k0 == 0;
                c.is_last = c.k0 + c.kn == k;
                c.extra = c.is_last ? extra : 0;
                expand(machine, &c);
                cut_items(&c, machine->threads);
                attune_run(machine, multiply_item, &c, c.blocks * ((c.panels + c.group - 1) / c.group));
            }
        }
    }
}

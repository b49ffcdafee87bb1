// Matrix products over panels of 64 columns and tiles of six rows (twelve where the panel is narrow).
//
// Every output element is Σ over k in rising order in one accumulator, whatever the number of rows, threads or chunks,
// so a row's result is the same bits alone and in any batch.
#include "linear.h"

// More rows are multiplied block by block.
#define FEW_ROWS 192
// So are few whose panels would not fit the second-level cache, and any number where such panels must be turned.
#define LONG 3072
#define SHORT_ROWS 24
// Rows of one work item when a product is cut along the rows too.
#define ROW_CHUNK 48
// Up to how many rows a bfloat16 panel is widened in registers, for each tile anew.
#define DIRECT_ROWS 48
// Up to how many rows a four-bit panel is expanded in registers.
#define FUSED_ROWS 3
#define FUSED_ROWS_BF16 4

typedef struct {
    const attune_linear_arguments *arguments;
    int32_t dtype;   // of the tile's operands
    int32_t direct;  // panels are read as bfloat16 pairs where they lie
    attune_tile_4bit fused;  // four-bit panels are expanded in registers by this, or NULL
    int64_t columns;
    const char *inp, *extra_inp;      // operands in that type; inp NULL when every tile converts its rows
    int64_t inp_stride, extra_stride;  // bytes
    int64_t chunks, chunk_rows;
    int64_t whole;  // panels of one item; those that follow are two items each, for a balance of the threads
} linear_context;

static int64_t panel_bytes(const attune_weight *w, int32_t transposed) {
    int64_t k = transposed ? w->out : w->in;
    return (k + 63) / 64 * 64 * 64 * 4;
}

static void fused_tile(
    attune_tile_4bit tile, const attune_weight *w, int64_t panel, int32_t half, float *acc, const attune_product *product,
    int32_t rows, int32_t width, const attune_wanted *wanted) {
    tile(
        acc, product->rows, w->in, (const uint8_t *)w->data + panel * w->in * 32 + half * 256,
        w->scales + panel * (w->in / w->block) * 64 + half * 32, w->codebook, w->block, rows, width, w->dtype,
        wanted);
}

static void multiply_tile(
    const attune_kernels *k, const linear_context *c, float *acc, int32_t accumulate, const attune_product *products,
    int64_t count, int32_t rows, int32_t width) {
    if (c->dtype == ATTUNE_BF16) k->tile_bf16(acc, ATTUNE_PANEL, accumulate, products, count, rows, width);
    else if (c->direct) k->tile_pairs(acc, ATTUNE_PANEL, accumulate, products, count, rows, width);
    else k->tile_f32(acc, ATTUNE_PANEL, accumulate, products, count, rows, width);
}

// What an item computes: some columns of a panel for some rows.
typedef struct {
    int64_t panel, column, n, first, end;
    int32_t half;
} linear_part;

static linear_part part_of(const linear_context *c, int64_t item) {
    int64_t panel = item / c->chunks, chunk = item % c->chunks, most_columns = 64;
    linear_part part = {.panel = panel};
    if (panel >= c->whole) {
        part.half = (panel - c->whole) % 2;
        part.panel = c->whole + (panel - c->whole) / 2;
        most_columns = 32;
    }
    part.column = part.panel * 64 + part.half * 32;
    part.n = attune_min(most_columns, c->columns - part.column);
    part.first = chunk * c->chunk_rows;
    part.end = attune_min(part.first + c->chunk_rows, c->arguments->inp->rows);
    return part;
}

static void linear_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const linear_context *c = context;
    const attune_linear_arguments *a = c->arguments;
    linear_part part = part_of(c, item);
    int64_t panel = part.panel, column = part.column, n = part.n, first = part.first, end = part.end;
    int32_t half = part.half, width = (int32_t)((n + 15) / 16);

    attune_product products[2] = {{.step = 1, .line = ATTUNE_PANEL}, {.step = 1, .line = ATTUNE_PANEL}};
    int64_t count = 1;
    int32_t panel_type = c->direct ? ATTUNE_BF16 : c->dtype;
    products[0].k = a->transposed ? a->weight->out : a->weight->in;
    void *scratch = attune_scratch(machine, thread, ATTUNE_SCRATCH_PANEL, panel_bytes(a->weight, a->transposed));
    products[0].panel =
        c->fused ? NULL
                 : attune_weight_lines(
                       k, a->weight, panel, 0, products[0].k, a->transposed, panel_type, scratch);
    if (a->extra_weight) {
        int64_t bytes = panel_bytes(a->extra_weight, a->transposed);
        void *extra = attune_scratch(machine, thread, ATTUNE_SCRATCH_EXTRA, bytes);
        products[1].k = a->transposed ? a->extra_weight->out : a->extra_weight->in;
        products[1].panel =
            attune_weight_lines(k, a->extra_weight, panel, 0, products[1].k, a->transposed, panel_type, extra);
        count = 2;
    }
    // 32 columns are 128 bytes of a panel's line, of pairs and of float32 alike.
    for (int64_t i = 0; half && i < count; i++)
        if (products[i].panel) products[i].panel = (const char *)products[i].panel + 128;
    _Alignas(64) float acc[ATTUNE_TALL * ATTUNE_PANEL];
    int32_t most = c->dtype == ATTUNE_F32 && (width <= 2 || c->direct) ? k->tall : ATTUNE_TILE;
    int64_t next = panel + machine->threads;
    attune_wanted ahead = {NULL, 0}, wanted[ATTUNE_WANTED];
    if (!a->transposed && !c->direct && !c->fused && panel < c->whole && next * 64 < c->columns &&
        a->weight->kind <= ATTUNE_WEIGHT_4BIT) {
        ahead.bytes = attune_weight_data_bytes(a->weight->kind, a->weight->dtype, 64, a->weight->in);
        ahead.at = (const char *)a->weight->data + next * ahead.bytes;
    }
    products[0].wanted_lines = attune_wanted_lines(&ahead, &products[0], (end - first + most - 1) / most);
    float *own = c->inp ? NULL : attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, ATTUNE_TALL * products[0].k * 4);
    for (int64_t row = first; row < end;) {
        int32_t rows = c->fused ? (int32_t)(end - row) : attune_even_tile(end - row, most);
        attune_fetch_ahead(
            end - first > most ? machine : NULL, &ahead, &products[0], c->dtype, (end - row + most - 1) / most, wanted);
        for (int32_t m = 0; m < rows; m++) {
            if (c->inp) {
                products[0].rows[m] = c->inp + (row + m) * c->inp_stride;
            } else {
                float *line = own + m * products[0].k;
                k->widen(line, attune_at(a->inp, row + m, 0), a->inp->dtype, products[0].k);
                products[0].rows[m] = line;
            }
            if (count == 2) products[1].rows[m] = c->extra_inp + (row + m) * c->extra_stride;
        }
        if (c->fused) {
            // Fetching within a panel begins too late for its first codes and scales.
            const char *codes = a->weight->data, *scales = (const char *)a->weight->scales;
            int64_t code_bytes = a->weight->in * 32, scale_bytes = a->weight->in / a->weight->block * 256, listed = 0;
            if (next * 64 < c->columns) {
                wanted[listed++] = (attune_wanted){codes + next * code_bytes, 2048};
                wanted[listed++] = (attune_wanted){scales + next * scale_bytes, 512};
            }
            listed = attune_take_expected(machine, wanted, listed, a->weight->in * 8 - 2560);
            wanted[listed] = (attune_wanted){codes + panel * code_bytes, INT64_MAX / 2};
            fused_tile(c->fused, a->weight, panel, half, acc, &products[0], rows, width, wanted);
            if (count == 2) multiply_tile(k, c, acc, 1, &products[1], 1, rows, width);
        } else {
            multiply_tile(k, c, acc, 0, products, count, rows, width);
        }
        attune_finish_tile(k, a, acc, row, rows, column, n);
        row += rows;
    }
}

typedef struct {
    const attune_matrix *source;
    char *out;
    int64_t stride;
    int32_t dtype;
} operand_context;

static void convert_operand(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const operand_context *c = context;
    int64_t end = attune_min((item + 1) * 16, c->source->rows);
    for (int64_t row = item * 16; row < end; row++) {
        char *to = c->out + row * c->stride;
        if (c->dtype == ATTUNE_F32) {
            k->widen((float *)to, attune_at(c->source, row, 0), c->source->dtype, c->source->columns);
            continue;
        }
        for (int64_t i = 0; i < c->source->columns; i += ATTUNE_CHUNK) {
            float buffer[ATTUNE_CHUNK];
            int64_t n = attune_min(ATTUNE_CHUNK, c->source->columns - i);
            k->narrow(to + 2 * i, c->dtype, attune_read(k, c->source, row, i, n, buffer), n);
        }
    }
}

// A matrix in the tile's type: itself, or a converted copy in shared scratch.
static const char *operand(
    attune_machine *machine, const attune_matrix *source, int32_t dtype, int32_t slot, int64_t *stride) {
    if (source->dtype == dtype) {
        *stride = source->stride * attune_width(dtype);
        return source->data;
    }
    *stride = (source->columns * attune_width(dtype) + 63) & ~(int64_t)63;
    char *out = attune_scratch(machine, 0, slot, *stride * source->rows);
    operand_context context = {source, out, *stride, dtype};
    attune_run(machine, convert_operand, &context, (source->rows + 15) / 16);
    return out;
}

// The rows in the tile's type, unless they are there already.
static void convert_operands(attune_machine *machine, linear_context *c) {
    const attune_linear_arguments *a = c->arguments;
    // With one panel every row is used once, so it is converted where it is used.
    if (!c->inp && (c->columns > 64 || c->dtype != ATTUNE_F32 || a->inp->dtype == ATTUNE_F32))
        c->inp = operand(machine, a->inp, c->dtype, ATTUNE_SCRATCH_SHARED, &c->inp_stride);
    if (a->extra_weight)
        c->extra_inp = operand(machine, a->extra_inp, c->dtype, ATTUNE_SCRATCH_SHARED2, &c->extra_stride);
}

static int32_t tile_type(const attune_machine *machine, const attune_linear_arguments *a) {
    return a->weight->dtype == ATTUNE_BF16 && machine->kernels->tile_bf16 ? ATTUNE_BF16 : ATTUNE_F32;
}

// Rows few enough for whole panels: everything but the conversion of operands. Returns the number of items.
static int64_t plan_few_rows(attune_machine *machine, linear_context *c, const attune_linear_arguments *a) {
    c->arguments = a;
    c->dtype = tile_type(machine, a);
    // Widening in registers beats a float32 copy of every panel.
    c->direct = c->dtype == ATTUNE_F32 && !a->transposed && a->weight->dtype == ATTUNE_BF16 &&
                a->weight->kind == ATTUNE_WEIGHT_DENSE && a->inp->rows <= DIRECT_ROWS;
    if (!a->transposed && a->weight->kind == ATTUNE_WEIGHT_4BIT && a->weight->dtype != ATTUNE_F16) {
        int is_bf16 = c->dtype == ATTUNE_BF16;
        if (a->inp->rows <= (is_bf16 ? FUSED_ROWS_BF16 : FUSED_ROWS))
            c->fused = is_bf16 ? machine->kernels->tile_4bit_bf16 : machine->kernels->tile_4bit;
    }
    c->columns = a->transposed ? a->weight->in : a->weight->out;
    int64_t panels = (c->columns + 63) / 64, rows = a->inp->rows;
    // Whole columns of a panel while there are enough panels: a panel that must be made is then made once.
    c->chunks = 1;
    if (machine->threads > 1 && panels < 8 * machine->threads)
        c->chunks = attune_max(1, attune_min((rows + ROW_CHUNK - 1) / ROW_CHUNK, 8 * machine->threads / panels));
    c->chunk_rows = (rows + c->chunks - 1) / attune_max(1, c->chunks);
    c->chunk_rows = (c->chunk_rows + ATTUNE_TALL - 1) / ATTUNE_TALL * ATTUNE_TALL;
    c->whole = panels;
    // Nine panels leave one of two threads idle for a tenth of the time; the last as two halves do not. Not where each half
    // would wait for memory as long as the whole, or make the whole panel again.
    int32_t in_place = c->dtype == ATTUNE_BF16 && a->weight->kind == ATTUNE_WEIGHT_DENSE && !a->transposed;
    int32_t pays = c->fused || (in_place && c->chunks == 1 && rows > 3 * ATTUNE_TILE);
    if (pays && panels < 16 * machine->threads && c->columns % 64 == 0)
        c->whole -= panels % machine->threads;
    return rows > 0 ? panels * c->chunks + (panels - c->whole) : 0;
}

static int takes_blocks(const attune_linear_arguments *a) {
    int64_t length = a->transposed ? a->weight->out : a->weight->in, rows = a->inp->rows;
    return a->negligible > 0 || rows > FEW_ROWS || (length > LONG && (rows > SHORT_ROWS || a->transposed));
}

typedef struct {
    linear_context *products;
    int64_t ends[ATTUNE_GROUP];  // items of a product and those before it
} group_context;

static void group_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    group_context *c = context;
    int64_t which = 0;
    while (item >= c->ends[which]) which++;
    linear_item(machine, c->products + which, item - (which > 0 ? c->ends[which - 1] : 0), thread);
}

void attune_linear_group(attune_machine *machine, const attune_linear_arguments *arguments, int64_t count) {
    int together = count <= ATTUNE_GROUP;
    for (int64_t i = 0; i < count; i++)
        together &= !takes_blocks(arguments + i) && arguments[i].inp == arguments[0].inp &&
                    tile_type(machine, arguments + i) == tile_type(machine, arguments) &&
                    (!arguments[i].extra_inp || arguments[i].extra_inp->dtype == tile_type(machine, arguments));
    if (!together) {
        for (int64_t i = 0; i < count; i++) attune_linear(machine, arguments + i);
        return;
    }
    attune_begin(machine);
    linear_context products[ATTUNE_GROUP] = {0};
    group_context group = {products, {0}};
    int64_t items = 0;
    for (int64_t i = 0; i < count; i++) {
        linear_context *c = products + i;
        items += plan_few_rows(machine, c, arguments + i);
        group.ends[i] = items;
        if (i > 0 && products[0].inp) {
            c->inp = products[0].inp;
            c->inp_stride = products[0].inp_stride;
        }
        convert_operands(machine, c);
    }
    attune_run(machine, group_item, &group, items);
    attune_end(machine);
}

void attune_linear(attune_machine *machine, const attune_linear_arguments *a) {
    attune_begin(machine);
    if (takes_blocks(a)) {
        attune_linear_blocked(machine, a, tile_type(machine, a));
    } else {
        linear_context c = {0};
        int64_t items = plan_few_rows(machine, &c, a);
        convert_operands(machine, &c);
        attune_run(machine, linear_item, &c, items);
    }
    attune_end(machine);
}

typedef struct {
    linear_context gate, up;
    const attune_matrix *out;
    int32_t function;
} gated_context;

// The same columns of both products, then of what they gate, which whoever computed them has at hand.
static void gated_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    gated_context *c = context;
    linear_item(machine, &c->gate, item, thread);
    linear_item(machine, &c->up, item, thread);
    linear_part part = part_of(&c->gate, item);
    for (int64_t row = part.first; row < part.end; row++)
        machine->kernels->gated(
            attune_at(c->out, row, part.column), attune_at(c->gate.arguments->out, row, part.column),
            attune_at(c->up.arguments->out, row, part.column), c->out->dtype, c->function, part.n);
}

void attune_gated_linear(
    attune_machine *machine, const attune_matrix *out, const attune_linear_arguments *arguments, int32_t function) {
    const attune_linear_arguments *gate = arguments, *up = arguments + 1;
    int together = !takes_blocks(gate) && !takes_blocks(up) && gate->weight->kind == up->weight->kind &&
                   gate->weight->dtype == up->weight->dtype &&
                   (!gate->extra_inp || gate->extra_inp->dtype == tile_type(machine, gate)) &&
                   (!up->extra_inp || up->extra_inp->dtype == tile_type(machine, up));
    if (!together) {
        attune_linear_group(machine, arguments, 2);
        attune_gated_activation(machine, out, gate->out, up->out, function);
        return;
    }
    attune_begin(machine);
    gated_context c = {.out = out, .function = function};
    int64_t items = plan_few_rows(machine, &c.gate, gate);
    plan_few_rows(machine, &c.up, up);
    convert_operands(machine, &c.gate);
    c.up.inp = c.gate.inp;
    c.up.inp_stride = c.gate.inp_stride;
    convert_operands(machine, &c.up);
    attune_run(machine, gated_item, &c, items);
    attune_end(machine);
}

typedef struct {
    linear_context *product;
    const int32_t *panels;
} listed_context;

static void listed_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const listed_context *c = context;
    for (int64_t chunk = 0; chunk < c->product->chunks; chunk++)
        linear_item(machine, c->product, c->panels[item] * c->product->chunks + chunk, thread);
}

void attune_linear_panels(
    attune_machine *machine, const attune_linear_arguments *a, const int32_t *panels, int64_t count) {
    linear_context c = {0};
    plan_few_rows(machine, &c, a);
    c.whole = INT64_MAX;
    convert_operands(machine, &c);
    listed_context listed = {&c, panels};
    attune_run(machine, listed_item, &listed, count);
}

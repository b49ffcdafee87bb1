// What the files of the matrix products share.
#ifndef ATTUNE_LINEAR_H
#define ATTUNE_LINEAR_H

#include "machine.h"

#define ATTUNE_GROUP 4  // products that run as one

// How many rows the next tile takes so that the last is not tiny: rows cut into ceil(rows/most) nearly equal tiles.
static inline int32_t attune_even_tile(int64_t left, int64_t most) {
    int64_t tiles = (left + most - 1) / most;
    return (int32_t)((left + tiles - 1) / tiles);
}

// Lines of 256 bytes that k of a panel take in the tile's type.
static inline int64_t attune_panel_lines(int64_t k, int32_t dtype) { return dtype == ATTUNE_F32 ? k : (k + 1) / 2; }

// How many lines a tile asks for with each pair, `tiles` of them fetching `next`: one where that leaves a third of the time to
// spare, as what the memory is not asked for at once it has not to answer at once.
static inline int32_t attune_wanted_lines(const attune_wanted *next, const attune_product *product, int64_t tiles) {
    return 3 * next->bytes <= 2 * tiles * (product->k / 2) * 64 ? 1 : 2;
}

// Lets a tile fetch its part of `next`, the panel after this one, `tiles` of them being left: as it goes where it can and
// others follow, else all before it begins. A tile with lines to spare fetches what `machine` expects to be read, unless that is
// NULL. `list` has room for ATTUNE_WANTED and lives as long as the product.
static inline void attune_fetch_ahead(
    attune_machine *machine, attune_wanted *next, attune_product *product, int32_t dtype, int64_t tiles,
    attune_wanted *list) {
    product->wanted = NULL;
    int64_t left = product->k / 2 * 64 * product->wanted_lines, count = 0;
    if (next->bytes > 0) {
        int streams = dtype == ATTUNE_BF16 && tiles >= 2;
        int64_t part = attune_min(next->bytes, streams ? left : (next->bytes / tiles + 63) / 64 * 64);
        if (streams) list[count++] = (attune_wanted){next->at, part};
        else for (int64_t i = 0; i < part; i += 64) __builtin_prefetch(next->at + i, 0, 2);
        next->at += part;
        next->bytes -= part;
        left -= streams ? part : 0;
    }
    if (machine && dtype == ATTUNE_BF16) count = attune_take_expected(machine, list, count, left);
    if (count == 0) return;
    // What is being multiplied is there already, so to ask for it costs nothing.
    list[count] = (attune_wanted){product->panel, INT64_MAX / 2};
    product->wanted = list;
}

// Asks for the memory attune_finish_tile will touch.
static inline void attune_expect_tile(const attune_linear_arguments *a, int64_t row, int32_t rows, int64_t column) {
    for (int32_t m = 0; m < rows; m++) {
        const char *out = attune_at(a->out, row + m, column);
        __builtin_prefetch(out, 1);
        __builtin_prefetch(out + 64, 1);
        if (!a->residual) continue;
        const char *residual = attune_at(a->residual, row + m, column);
        __builtin_prefetch(residual);
        __builtin_prefetch(residual + 64);
    }
}

// Stores a tile of sums [rows][64]: out = residual + scale·(acc + bias), in the type of `out`.
static inline void attune_finish_tile(
    const attune_kernels *k, const attune_linear_arguments *a, const float *acc, int64_t row, int32_t rows,
    int64_t column, int64_t n) {
    const attune_matrix *out = a->out, *residual = a->residual;
    k->finish_rows(
        attune_at(out, row, column), out->dtype, out->stride, acc, a->bias ? a->bias + column : NULL,
        residual ? attune_at(residual, row, column) : NULL, residual ? residual->dtype : out->dtype,
        residual ? residual->stride : 0, a->scale, rows, n);
}

// attune_linear of few rows, for the columns of some panels only.
void attune_linear_panels(
    attune_machine *machine, const attune_linear_arguments *arguments, const int32_t *panels, int64_t count);

// The product for many rows; `dtype` is that of the tile's operands.
void attune_linear_blocked(attune_machine *machine, const attune_linear_arguments *arguments, int32_t dtype);

#endif

/* What images of text are like: noise, blur of edges, slope of lines. As OpenCV and NumPy would find it in fifty calls,
 * for each of which a thread would let go of the interpreter and wait for it again. */
#ifndef GLYPHWIRE_MEASURES_H
#define GLYPHWIRE_MEASURES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS = 256,
    CELLS = 12, /* rows and columns of them in which edges are counted */
    PIECES = 3,
    PIECE_SIDE = 192,
    MOST_SIDE = 512,
    MOST_POINTS = 600,
    LEAST_POINTS = 60,
    COARSE_ANGLES = 31,
    FINE_ANGLES = 17,
};

/* Norm of the mask: by how much it multiplies the standard deviation of noise. */
#define NOISE_GAIN 6.0
/* A quarter of all values are nearer to the mean than so many standard deviations. */
#define QUARTILE_OF_NORMAL 0.3186
/* Steepest slope of a step of height 1 that was blurred by a Gaussian of standard deviation 1. */
#define STEP_SLOPE 0.3989
/* So many of the pixels are no edge of a letter; nor are those with an edge of no more levels. */
#define EDGE_SHARE 0.88f
#define FAINTEST_EDGE 10
/* Degrees. Short words have clearer angles beyond them than their own. */
#define STEEPEST 30.0
#define COARSE_STEP 2.0
#define FINE_STEP 0.25

/* Bytes of an image where they are; a pixel of a grey one is one byte. */
typedef struct {
    const uint8_t *first;
    ptrdiff_t height, width, row_stride, pixel_stride;
} View;

/* A grey image with a border of one pixel, which mirrors what is beside the edge. */
typedef struct {
    uint8_t *border, *first;
    ptrdiff_t height, width, stride;
} Grey;

typedef struct {
    uint32_t counts[LEVELS];
    float total;
} Histogram;

typedef struct {
    ptrdiff_t top, left, bottom, right;
} Piece;

typedef struct {
    Piece pieces[PIECES]; /* where it was seen */
    int count;
    double noise, blur;
} Strokes;

typedef struct {
    double degrees, clearness;
} Slope;

static inline ptrdiff_t at_least(ptrdiff_t value, ptrdiff_t least) { return value > least ? value : least; }
static inline ptrdiff_t at_most(ptrdiff_t value, ptrdiff_t most) { return value < most ? value : most; }
static inline uint8_t in_byte(int value) { return (uint8_t)(value < 255 ? value : 255); }

/* 0 without memory. */
static int allocate_grey(Grey *grey, ptrdiff_t height, ptrdiff_t width) {
    uint8_t *border = malloc((size_t)((height + 2) * (width + 2)));
    *grey = (Grey){border, border + width + 3, height, width, width + 2};
    return border != NULL;
}

static inline uint8_t luminance(const uint8_t *rgb) {
    return (uint8_t)((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + (1 << 14)) >> 15);
}

/* Needs room for so many rows and columns; the mirror leaves out the edge itself. */
static void fill_grey(Grey *grey, const View *view) {
    ptrdiff_t height = grey->height = view->height, width = grey->width = view->width,
              stride = grey->stride = width + 2;
    grey->first = grey->border + stride + 1;
    for (ptrdiff_t y = 0; y < height; y++) {
        const uint8_t *from = view->first + y * view->row_stride;
        uint8_t *row = grey->first + y * stride;
        if (view->pixel_stride == 1) memcpy(row, from, (size_t)width);
        else
            for (ptrdiff_t x = 0; x < width; x++) row[x] = luminance(from + x * view->pixel_stride);
        row[-1] = row[at_most(1, width - 1)];
        row[width] = row[at_least(width - 2, 0)];
    }
    uint8_t *top = grey->border;
    memcpy(top, top + (1 + at_most(1, height - 1)) * stride, (size_t)stride);
    memcpy(top + (height + 1) * stride, top + (1 + at_least(height - 2, 0)) * stride, (size_t)stride);
}

/* What is found for each pixel of a row by those around it. */
typedef void Filter(const Grey *grey, const uint8_t *row, uint8_t *restrict found);

static void answers_of_mask(const Grey *grey, const uint8_t *row, uint8_t *restrict found) {
    const uint8_t *above = row - grey->stride, *below = row + grey->stride;
    for (ptrdiff_t x = 0; x < grey->width; x++) {
        int sides = above[x] + below[x] + row[x - 1] + row[x + 1];
        int corners = above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1];
        found[x] = in_byte(abs(4 * row[x] - 2 * sides + corners));
    }
}

static void steps(const Grey *grey, const uint8_t *row, uint8_t *restrict found) {
    const uint8_t *above = row - grey->stride, *below = row + grey->stride;
    for (ptrdiff_t x = 0; x < grey->width; x++) {
        int across = abs(row[x + 1] - row[x - 1]), down = abs(below[x] - above[x]);
        found[x] = (uint8_t)(across > down ? across : down);
    }
}

/* Half the sum of Sobel's two masks, halves to even. */
static void edges(const Grey *grey, const uint8_t *row, uint8_t *restrict found) {
    const uint8_t *above = row - grey->stride, *below = row + grey->stride;
    for (ptrdiff_t x = 0; x < grey->width; x++) {
        int right = above[x + 1] + 2 * row[x + 1] + below[x + 1], left = above[x - 1] + 2 * row[x - 1] + below[x - 1];
        int low = below[x - 1] + 2 * below[x] + below[x + 1], high = above[x - 1] + 2 * above[x] + above[x + 1];
        int sum = in_byte(abs(right - left)) + in_byte(abs(low - high));
        found[x] = (uint8_t)((sum + ((sum >> 1) & 1)) >> 1);
    }
}

static void pixels(const Grey *grey, const uint8_t *row, uint8_t *restrict found) {
    memcpy(found, row, (size_t)grey->width);
}

/* found: room for the results of all pixels, or for those of a row that are needed no longer. */
static void count(const Grey *grey, Filter *filter, uint8_t *found, ptrdiff_t stride, Histogram *histogram) {
    /* Four, as the same level again would wait for the last count of it. */
    uint32_t counts[4][LEVELS] = {{0}};
    for (ptrdiff_t y = 0; y < grey->height; y++, found += stride) {
        ptrdiff_t x = 0;
        filter(grey, grey->first + y * grey->stride, found);
        for (; x + 4 <= grey->width; x += 4)
            for (int i = 0; i < 4; i++) counts[i][found[x + i]]++;
        for (; x < grey->width; x++) counts[0][found[x]]++;
    }
    for (int i = 0; i < LEVELS; i++) histogram->counts[i] = counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i];
    histogram->total = (float)(grey->height * grey->width);
}

/* The level below which this share of the pixels lies. */
static int level_below(const Histogram *histogram, float share) {
    uint32_t below = 0;
    for (int level = 0; level < LEVELS; level++)
        if ((float)(below += histogram->counts[level]) >= share * histogram->total) return level;
    return LEVELS;
}

/* Immerkaer, Fast noise variance estimation, 1996. Of the answers of his mask the lower quartile counts, as letters
 * have strong ones. row: room for one. */
static double noise_of(const Grey *grey, uint8_t *row) {
    Histogram histogram;
    count(grey, answers_of_mask, row, 0, &histogram);
    return level_below(&histogram, 0.25f) / (NOISE_GAIN * QUARTILE_OF_NORMAL);
}

/* Standard deviation of the blur of the sharpest edges, 0 where there are none. row: room for one. */
static double blur_of(const Grey *grey, uint8_t *row) {
    Histogram differences, levels;
    count(grey, steps, row, 0, &differences);
    /* They are over two pixels. */
    double steepest = level_below(&differences, 0.995f) / 2.0;
    if (steepest < 1) return 0;
    count(grey, pixels, row, 0, &levels);
    return STEP_SLOPE * (level_below(&levels, 0.98f) - level_below(&levels, 0.02f)) / steepest;
}

/* Pixels of one axis that fall into a cell: those from begin to end, and shares of the ones before and after them. */
typedef struct {
    ptrdiff_t begin, end;
    double before, after;
} Span;

/* As OpenCV shrinks by areas, and as it enlarges then when cells are smaller than pixels. */
static Span span_of_cell(int cell, ptrdiff_t length, int is_shrunk) {
    double scale = (double)length / CELLS;
    if (is_shrunk) {
        double from = cell * scale, to = from + scale;
        ptrdiff_t end = at_most((ptrdiff_t)floor(to), length - 1), begin = at_most((ptrdiff_t)ceil(from), end);
        return (Span){begin, end, (double)begin - from, fmin(to - (double)end, 1)};
    }
    ptrdiff_t pixel = (ptrdiff_t)floor(cell * scale);
    double share = cell + 1 - (double)(pixel + 1) / scale;
    share = share <= 0 || pixel >= length - 1 ? 0 : share - floor(share);
    pixel = at_most(pixel, length - 1);
    return (Span){pixel + 1, pixel + 1, 1 - share, share};
}

static double sum_of_span(const Span *span, const double *values) {
    double sum = span->before > 1e-3 ? span->before * values[span->begin - 1] : 0;
    for (ptrdiff_t i = span->begin; i < span->end; i++) sum += values[i];
    return span->after > 1e-3 ? sum + span->after * values[span->end] : sum;
}

/* In which cell of each third of an image most edges are. */
static void find_busiest(const Grey *grey, int busiest[PIECES]) {
    Span rows[CELLS], columns[CELLS];
    double sums[CELLS][MOST_SIDE], edges[MOST_SIDE];
    int is_shrunk = grey->width >= CELLS && grey->height >= CELLS;
    for (int i = 0; i < CELLS; i++) {
        rows[i] = span_of_cell(i, grey->height, is_shrunk);
        columns[i] = span_of_cell(i, grey->width, is_shrunk);
    }
    for (ptrdiff_t y = 0; y < grey->height; y++) {
        const uint8_t *row = grey->first + y * grey->stride, *above = row - grey->stride, *below = row + grey->stride;
        for (ptrdiff_t x = 0; x < grey->width; x++)
            edges[x] = abs(above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x]);
        for (int i = 0; i < CELLS; i++) sums[i][y] = sum_of_span(columns + i, edges);
    }
    for (int piece = 0; piece < PIECES; piece++) {
        double most = -1;
        for (int cell = piece * CELLS * CELLS / PIECES; cell < (piece + 1) * CELLS * CELLS / PIECES; cell++) {
            double found = sum_of_span(rows + cell / CELLS, sums[cell % CELLS]);
            /* Of equals the first, however their sums were rounded. */
            if (found > most * (1 + 1e-9)) most = found, busiest[piece] = cell;
        }
    }
}

/* Where a piece begins whose middle is that of a cell, as far as the image reaches. */
static ptrdiff_t begin_of_piece(int cell, ptrdiff_t length) {
    double begin = (cell + 0.5) * (double)length / CELLS - PIECE_SIDE / 2.0;
    return (ptrdiff_t)nearbyint(fmin(fmax(begin, 0), (double)at_least(length - PIECE_SIDE, 0)));
}

/* The pieces of an image with most edges, one in each third; the whole image when it is no larger than its sketch,
 * which is in `grey`. Returns how many. */
static int find_pieces(const View *image, const Grey *grey, Piece pieces[PIECES]) {
    int busiest[PIECES];
    if (grey->height == image->height && grey->width == image->width) {
        pieces[0] = (Piece){0, 0, image->height, image->width};
        return 1;
    }
    find_busiest(grey, busiest);
    for (int i = 0; i < PIECES; i++) {
        ptrdiff_t top = begin_of_piece(busiest[i] / CELLS, image->height);
        ptrdiff_t left = begin_of_piece(busiest[i] % CELLS, image->width);
        ptrdiff_t height = at_most(image->height, PIECE_SIDE), width = at_most(image->width, PIECE_SIDE);
        pieces[i] = (Piece){top, left, top + height, left + width};
    }
    return PIECES;
}

static View view_of(const View *image, const Piece *piece) {
    const uint8_t *first = image->first + piece->top * image->row_stride + piece->left * image->pixel_stride;
    ptrdiff_t height = piece->bottom - piece->top, width = piece->right - piece->left;
    return (View){first, height, width, image->row_stride, image->pixel_stride};
}

/* Of one value, or of PIECES. */
static double middle_of(const double *values, int count) {
    if (count == 1) return values[0];
    return fmax(fmin(values[0], values[1]), fmin(fmax(values[0], values[1]), values[2]));
}

/* Noise and blur in the pieces of an image with most edges. sketch: a grey copy, no side longer than MOST_SIDE; as
 * large as the image when that is small. 0 without memory. */
static int find_strokes(const View *image, const View *sketch, Strokes *found) {
    uint8_t row[MOST_SIDE];
    double noise[PIECES], blur[PIECES];
    Grey grey;
    if (!allocate_grey(&grey, at_least(sketch->height, PIECE_SIDE), at_least(sketch->width, PIECE_SIDE))) return 0;
    fill_grey(&grey, sketch);
    found->count = find_pieces(image, &grey, found->pieces);
    for (int i = 0; i < found->count; i++) {
        View piece = view_of(image, found->pieces + i);
        if (found->count > 1) fill_grey(&grey, &piece);
        noise[i] = noise_of(&grey, row);
        blur[i] = blur_of(&grey, row);
    }
    free(grey.border);
    found->noise = middle_of(noise, found->count);
    found->blur = middle_of(blur, found->count);
    return 1;
}

typedef struct {
    double x[MOST_POINTS], y[MOST_POINTS];
    ptrdiff_t count;
} Points;

/* Strong edges, evenly picked from all, anywhere within their pixels: whole numbers would pile up by themselves at some
 * angles, 45 degrees above all. strength: of the edge at each pixel. within: for each point where in its pixel it is.
 */
static void pick_points(
    const Grey *grey, const uint8_t *strength, const Histogram *histogram, const float *within, Points *points
) {
    int level = level_below(histogram, EDGE_SHARE);
    level = level > FAINTEST_EDGE ? level : FAINTEST_EDGE;
    ptrdiff_t area = grey->height * grey->width, strong = 0, passed = 0, picked = 0;
    for (int i = level + 1; i < LEVELS; i++) strong += histogram->counts[i];
    points->count = at_most(strong, MOST_POINTS);
    for (ptrdiff_t place = 0; picked < points->count; place++) {
        if (place >= area || strength[place] <= level || passed++ != picked * strong / points->count) continue;
        points->x[picked] = (float)(place % grey->width) + within[2 * picked];
        points->y[picked] = (float)(place / grey->width) + within[2 * picked + 1];
        picked++;
    }
}

static void project(const Points *points, double degrees, double *heights) {
    double radians = degrees * (M_PI / 180), sine = sin(radians), cosine = cos(radians);
    for (ptrdiff_t i = 0; i < points->count; i++) heights[i] = cosine * points->y[i] - sine * points->x[i];
}

static double lowest_of(const double *values, ptrdiff_t count) {
    double lowest = values[0];
    for (ptrdiff_t i = 1; i < count; i++) lowest = values[i] < lowest ? values[i] : lowest;
    return lowest;
}

/* How unevenly points are spread over rows of one pixel, for so many angles in degrees. */
static void pile(const Points *points, double first, double step, int angles, double *piles) {
    double heights[MOST_POINTS], lowest = INFINITY;
    for (int angle = 0; angle < angles; angle++) {
        project(points, first + angle * step, heights);
        lowest = fmin(lowest, lowest_of(heights, points->count));
    }
    for (int angle = 0; angle < angles; angle++) {
        uint32_t spread[4 * MOST_SIDE] = {0}, squares = 0;
        project(points, first + angle * step, heights);
        /* With one point more in a row of n, the sum of squares is greater by 2 n + 1. */
        for (ptrdiff_t i = 0; i < points->count; i++) squares += 2 * spread[(int)(heights[i] - lowest)]++ + 1;
        piles[angle] = (double)squares / (double)points->count;
    }
}

static int greatest_of(const double *values, int count) {
    int greatest = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[greatest]) greatest = i;
    return greatest;
}

/* Edges are projected onto an axis at each angle; where the axis is across the line they pile up (Postl, Detection of
 * linear oblique structures and skew scan in digitized documents, 1986). 0 without memory. */
static int find_slope(const View *sketch, const float *within, Slope *found) {
    Grey grey;
    Histogram histogram;
    Points points;
    double coarse[COARSE_ANGLES], fine[FINE_ANGLES], level;
    *found = (Slope){0, 1};
    uint8_t *strength = malloc((size_t)(sketch->height * sketch->width));
    if (!strength || !allocate_grey(&grey, sketch->height, sketch->width)) {
        free(strength);
        return 0;
    }
    fill_grey(&grey, sketch);
    count(&grey, edges, strength, grey.width, &histogram);
    pick_points(&grey, strength, &histogram, within, &points);
    free(strength);
    free(grey.border);
    if (points.count < LEAST_POINTS) return 1;
    pile(&points, -STEEPEST, COARSE_STEP, COARSE_ANGLES, coarse);
    double from = -STEEPEST + COARSE_STEP * greatest_of(coarse, COARSE_ANGLES) - COARSE_STEP;
    pile(&points, from, FINE_STEP, FINE_ANGLES, fine);
    int best = greatest_of(fine, FINE_ANGLES);
    double degrees = from + FINE_STEP * best;
    if (fabs(degrees) > STEEPEST - COARSE_STEP) return 1;
    pile(&points, 0, 0, 1, &level);
    *found = (Slope){degrees, fine[best] / fmax(level, 1e-9)};
    return 1;
}

#endif

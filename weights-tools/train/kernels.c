// Kernels for training on a CPU: blocks of Swin and the deformable convolution, forward and backward, in pieces that stay in the cache.
// Vectors of 16 floats by the compiler's vector extension; one thread. Arrays are contiguous single precision unless a stride is named.
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64), aligned(4)));
#define INLINE static inline __attribute__((always_inline))
#define ROWS 64   // rows of a piece
#define WINDOW 7
#define TOKENS 49
#define WIDE 64   // TOKENS, padded to vectors
#define HEAD 16   // channels of an attention head

// ---------------------------------------------------------------- product: C[m,n] (+)= A[m,k] B[k,n]
// A's element (i, p) is a[i * ai + p * ap], so A can be transposed; rows of B and C are contiguous; n is a multiple of 16.

INLINE void tile(const int rows, const int vecs, int k, const float *a, long ai, long ap, const float *b, long ldb, float *c, long ldc,
                 int add)
{
    vec sum[14][4]; // the part in use becomes registers
    #pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        #pragma GCC unroll 4
        for (int j = 0; j < vecs; j++)
            sum[i][j] = add ? *(const vec *)(c + i * ldc + 16 * j) : (vec){0};
    for (int p = 0; p < k; p++, a += ap, b += ldb) {
        vec line[4];
        #pragma GCC unroll 4
        for (int j = 0; j < vecs; j++)
            line[j] = *(const vec *)(b + 16 * j);
        #pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            #pragma GCC unroll 4
            for (int j = 0; j < vecs; j++)
                sum[i][j] += a[i * ai] * line[j];
    }
    #pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        #pragma GCC unroll 4
        for (int j = 0; j < vecs; j++)
            *(vec *)(c + i * ldc + 16 * j) = sum[i][j];
}

#define STRIP(name, rows, vecs) \
    static void name(int m, int k, const float *a, long ai, long ap, const float *b, long ldb, float *c, long ldc, int add) \
    { \
        int i = 0; \
        for (; i + rows <= m; i += rows) tile(rows, vecs, k, a + i * ai, ai, ap, b, ldb, c + i * ldc, ldc, add); \
        for (; i + 3 <= m; i += 3) tile(3, vecs, k, a + i * ai, ai, ap, b, ldb, c + i * ldc, ldc, add); \
        for (; i < m; i++) tile(1, vecs, k, a + i * ai, ai, ap, b, ldb, c + i * ldc, ldc, add); \
    }
STRIP(strip4, 6, 4)
STRIP(strip3, 8, 3)
STRIP(strip2, 12, 2)
STRIP(strip1, 14, 1)

static void gemm(int m, int n, int k, const float *a, long ai, long ap, const float *b, long ldb, float *c, long ldc, int add)
{
    int j = 0;
    for (; j + 64 <= n; j += 64)
        strip4(m, k, a, ai, ap, b + j, ldb, c + j, ldc, add);
    switch (n - j) {
    case 48: strip3(m, k, a, ai, ap, b + j, ldb, c + j, ldc, add); break;
    case 32: strip2(m, k, a, ai, ap, b + j, ldb, c + j, ldc, add); break;
    case 16: strip1(m, k, a, ai, ap, b + j, ldb, c + j, ldc, add); break;
    }
}

void gemm_test(int m, int n, int k, const float *a, const float *b, float *c) { gemm(m, n, k, a, k, 1, b, n, c, n, 0); }

// ---------------------------------------------------------------- small parts

static float *scratch(long floats) { return aligned_alloc(64, (floats * 4 + 63) / 64 * 64); }

// ---------------------------------------------------------------- products with weights: bfloat16 tiles where the CPU has them
//
//   pack        a matrix [k, n] with element (p, j) at b[p * bk + j * bn], one of the two strides 1; n is filled up to 16s with zeros
//   multiply    c[m, n] (+)= a[m, k] packed
//   accumulate  dw[out, in] += dy[m, out]^T x[m, in], m at most ROWS

#if defined(__AMX_BF16__) && !defined(EXACT)
#include <immintrin.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct { int k, n; uint32_t *data; } Packed; // tiles of 32 x 16, in pairs [n / 16][k / 32][16][16]

static int tiles(long n, int size) { return (n + size - 1) / size; }

static void start_tiles(void)
{
    static int asked;
    if (!asked) asked = 1, syscall(SYS_arch_prctl, 0x1023 /* ask for */, 18 /* tile data */);
    struct { uint8_t palette, row, zero[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = { .palette = 1 };
    for (int i = 0; i < 8; i++) { config.bytes[i] = 64; config.rows[i] = 16; }
    _tile_loadconfig(&config);
}

// Two rows of up to 16 floats, element by element side by side.
INLINE __m512i paired(const float *even, const float *odd, int count)
{
    __mmask16 mask = count >= 16 ? 0xffff : (1 << count) - 1;
    __m512 a = even ? _mm512_maskz_loadu_ps(mask, even) : _mm512_setzero_ps(), b = odd ? _mm512_maskz_loadu_ps(mask, odd) : _mm512_setzero_ps();
    return _mm512_or_si512(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a)),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b)), 16));
}

// Up to 32 floats of a row.
INLINE __m512i narrowed(const float *row, int count)
{
    __mmask16 low = count >= 16 ? 0xffff : (1 << count) - 1, high = count >= 32 ? 0xffff : count > 16 ? (1 << (count - 16)) - 1 : 0;
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, row + 16), _mm512_maskz_loadu_ps(low, row));
}

INLINE void transpose16(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int j = 0; j < 4; j++) {
        __m512i a = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
        __m512i c = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd), d = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
        t[j] = _mm512_shuffle_i32x4(a, b, 0x88);
        t[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
        t[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
        t[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
    memcpy(r, t, sizeof t);
}

static Packed pack(const float *b, int k, int n, long bk, long bn)
{
    start_tiles();
    Packed packed = { k, 16 * tiles(n, 16), (uint32_t *)scratch((long)tiles(k, 32) * tiles(n, 16) * 256) };
    __m512i *to = (__m512i *)packed.data;
    for (int j = 0; j < n; j += 16)
        for (int p = 0; p < k; p += 32, to += 16) {
            if (bn == 1) {
                for (int r = 0; r < 16; r++)
                    to[r] = paired(p + 2 * r < k ? b + (p + 2 * r) * bk + j : 0, p + 2 * r + 1 < k ? b + (p + 2 * r + 1) * bk + j : 0, n - j);
            } else {
                __m512i t[16];
                for (int r = 0; r < 16; r++) t[r] = j + r < n ? narrowed(b + (j + r) * bn + p, k - p) : _mm512_setzero_si512();
                transpose16(t);
                memcpy(to, t, sizeof t);
            }
        }
    return packed;
}

// Up to 2 x 2 tiles of c over k steps; a_next, b_next: from one tile's steps to the other's.
INLINE void tile_block(int rows, int columns, int steps, const uint32_t *a, long a_next, const uint32_t *b, long b_next, float *c, long ldc,
                       int add)
{
    if (add) {
        _tile_loadd(0, c, ldc * 4);
        if (columns > 1) _tile_loadd(1, c + 16, ldc * 4);
        if (rows > 1) _tile_loadd(2, c + 16 * ldc, ldc * 4);
        if (rows > 1 && columns > 1) _tile_loadd(3, c + 16 * ldc + 16, ldc * 4);
    } else {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    }
    for (int s = 0; s < steps; s++, a += 256, b += 256) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (columns > 1) { _tile_loadd(7, b + b_next, 64); _tile_dpbf16ps(1, 4, 7); }
        if (rows > 1) { _tile_loadd(5, a + a_next, 64); _tile_dpbf16ps(2, 5, 6); }
        if (rows > 1 && columns > 1) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, ldc * 4);
    if (columns > 1) _tile_stored(1, c + 16, ldc * 4);
    if (rows > 1) _tile_stored(2, c + 16 * ldc, ldc * 4);
    if (rows > 1 && columns > 1) _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

static void multiply(int m, const float *a, long lda, const Packed *b, float *c, long ldc, int add)
{
    int steps = tiles(b->k, 32), n = b->n;
    __m512i narrow[32 * steps];
    float edge[16 * n];
    for (int i = 0; i < m; i += 32) {
        int left = m - i < 32 ? m - i : 32, whole = left / 16, rest = left % 16;
        for (int t = 0; t < tiles(left, 16); t++)
            for (int s = 0; s < steps; s++)
                for (int r = 0; r < 16; r++)
                    narrow[(t * steps + s) * 16 + r] = 16 * t + r < left ? narrowed(a + (i + 16 * t + r) * lda + 32 * s, b->k - 32 * s)
                                                                      : _mm512_setzero_si512();
        if (rest && add)
            for (int r = 0; r < rest; r++) memcpy(edge + r * n, c + (i + 16 * whole + r) * ldc, n * 4);
        for (int j = 0; j < n; j += 32) {
            const uint32_t *bs = b->data + (long)(j / 16) * steps * 256;
            int columns = n - j >= 32 ? 2 : 1;
            if (whole) tile_block(whole, columns, steps, (uint32_t *)narrow, 256L * steps, bs, 256L * steps, c + i * ldc + j, ldc, add);
            if (rest) tile_block(1, columns, steps, (uint32_t *)(narrow + 16 * whole * steps), 0, bs, 256L * steps, edge + j, n, add);
        }
        for (int r = 0; r < rest; r++) memcpy(c + (i + 16 * whole + r) * ldc, edge + r * n, n * 4);
    }
}

static void accumulate(int out, int in, int m, const float *dy, long ldy, const float *x, long ldx, float *dw)
{
    int steps = tiles(m, 32);
    __m512i a[2 * 16 * steps], b[tiles(in, 16) * 16 * steps];
    for (int j = 0; j < in; j += 16)
        for (int p = 0; p < 16 * steps; p++)
            b[j * steps + p] = paired(2 * p < m ? x + 2 * p * ldx + j : 0, 2 * p + 1 < m ? x + (2 * p + 1) * ldx + j : 0, 16);
    for (int o = 0; o < out; o += 32) {
        int rows = out - o >= 32 ? 2 : 1;
        for (int t = 0; t < rows; t++)
            for (int s = 0; s < steps; s++) {
                __m512i *r = a + (t * steps + s) * 16;
                for (int i = 0; i < 16; i++) {
                    int p = 32 * s + 2 * i;
                    r[i] = paired(p < m ? dy + p * ldy + o + 16 * t : 0, p + 1 < m ? dy + (p + 1) * ldy + o + 16 * t : 0, 16);
                }
                transpose16(r);
            }
        for (int j = 0; j < in; j += 32)
            tile_block(rows, in - j >= 32 ? 2 : 1, steps, (uint32_t *)a, 256L * steps, (uint32_t *)(b + j * steps), 256L * steps,
                       dw + (long)o * in + j, in, 1);
    }
}

#else

typedef struct { int k, n; float *data; } Packed;

static Packed pack(const float *b, int k, int n, long bk, long bn)
{
    int wide = (n + 15) / 16 * 16;
    Packed packed = { k, wide, scratch((long)k * wide) };
    for (int j0 = 0; j0 < wide; j0 += 16)
        for (int p = 0; p < k; p++)
            for (int j = j0; j < j0 + 16; j++) packed.data[(long)p * wide + j] = j < n ? b[p * bk + j * bn] : 0;
    return packed;
}

static void multiply(int m, const float *a, long lda, const Packed *b, float *c, long ldc, int add)
{
    gemm(m, b->n, b->k, a, lda, 1, b->data, b->n, c, ldc, add);
}

static void accumulate(int out, int in, int m, const float *dy, long ldy, const float *x, long ldx, float *dw)
{
    gemm(out, in, m, dy, 1, ldy, x, ldx, dw, in, 1);
}
#endif

INLINE float fast_exp(float x)
{
    x = x < -87 ? -87 : x;
    float n = rintf(x * 1.44269504f), r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1 + r * (1 + r * (.5f + r * (1.6666667e-1f + r * (4.1665795e-2f + r * (8.3334519e-3f + r * 1.3981999e-3f)))));
    union { int i; float f; } scale = { .i = ((int)n + 127) << 23 };
    return p * scale.f;
}

// Phi(x) of the normal distribution (Abramowitz and Stegun 7.1.26, error 1e-7) and its density.
INLINE void normal(float x, float *cumulated, float *density)
{
    float z = fabsf(x) * .70710678f, t = 1 / (1 + .3275911f * z), e = fast_exp(-.5f * x * x);
    float tail = .5f * e * t * (.254829592f + t * (-.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    *cumulated = x > 0 ? 1 - tail : tail;
    *density = .39894228f * e;
}

static void norm_row(const float *x, int n, const float *gamma, const float *beta, float *y, float *stats)
{
    float sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    float mean = sum / n;
    for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    float r = 1 / sqrtf(squares / n + 1e-5f);
    for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * r * gamma[i] + beta[i];
    stats[0] = mean;
    stats[1] = r;
}

static void normed_again(const float *x, int n, const float *gamma, const float *beta, const float *stats, float *y)
{
    float mean = stats[0], r = stats[1];
    for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * r * gamma[i] + beta[i];
}

// dx += gradient through the norm of dh
static void norm_row_backward(const float *x, const float *dh, int n, const float *gamma, const float *stats, float *dx, float *dgamma,
                              float *dbeta)
{
    float mean = stats[0], r = stats[1], a = 0, b = 0;
    for (int i = 0; i < n; i++) {
        float unit = (x[i] - mean) * r, g = dh[i] * gamma[i];
        dgamma[i] += dh[i] * unit;
        dbeta[i] += dh[i];
        a += g;
        b += g * unit;
    }
    a /= n;
    b /= n;
    for (int i = 0; i < n; i++) dx[i] += r * (dh[i] * gamma[i] - a - (x[i] - mean) * r * b);
}

static void add_bias(float *y, int rows, int n, const float *b)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++) y[(long)i * n + j] += b[j];
}

static void add_column_sums(const float *y, int rows, int n, float *sum)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++) sum[j] += y[(long)i * n + j];
}

// ---------------------------------------------------------------- MLP block: y = x + W2 gelu(W1 norm(x) + b1) + b2

void mlp_forward(long rows, int c, int h, const float *x, const float *gamma, const float *beta, const float *w1, const float *b1,
                 const float *w2, const float *b2, float *y, float *stats, float *z)
{
    Packed up = pack(w1, c, h, 1, c), down = pack(w2, h, c, 1, h);
    float *n = scratch(ROWS * c), *g = scratch(ROWS * h);
    for (long s = 0; s < rows; s += ROWS) {
        int m = rows - s < ROWS ? rows - s : ROWS;
        float *zs = z + s * h, *ys = y + s * c;
        for (int i = 0; i < m; i++) norm_row(x + (s + i) * c, c, gamma, beta, n + i * c, stats + 2 * (s + i));
        for (int i = 0; i < m; i++) memcpy(zs + (long)i * h, b1, h * 4);
        multiply(m, n, c, &up, zs, h, 1);
        for (int i = 0; i < m * h; i++) {
            float cumulated, density;
            normal(zs[i], &cumulated, &density);
            g[i] = zs[i] * cumulated;
        }
        memcpy(ys, x + s * c, (long)m * c * 4);
        add_bias(ys, m, c, b2);
        multiply(m, g, h, &down, ys, c, 1);
    }
    free(up.data); free(down.data); free(n); free(g);
}

// The gradients of weights are added to.
void mlp_backward(long rows, int c, int h, const float *x, const float *gamma, const float *beta, const float *w1, const float *w2,
                  const float *stats, const float *z, const float *dy, float *dx, float *dgamma, float *dbeta, float *dw1, float *db1,
                  float *dw2, float *db2)
{
    Packed up = pack(w2, c, h, h, 1), down = pack(w1, h, c, c, 1);
    float *n = scratch(ROWS * c), *dn = scratch(ROWS * c), *g = scratch(ROWS * h), *dz = scratch(ROWS * h);
    for (long s = 0; s < rows; s += ROWS) {
        int m = rows - s < ROWS ? rows - s : ROWS;
        const float *zs = z + s * h, *d = dy + s * c;
        multiply(m, d, c, &up, dz, h, 0);
        for (int i = 0; i < m * h; i++) {
            float cumulated, density;
            normal(zs[i], &cumulated, &density);
            g[i] = zs[i] * cumulated;
            dz[i] *= cumulated + zs[i] * density;
        }
        accumulate(c, h, m, d, c, g, h, dw2);
        add_column_sums(d, m, c, db2);
        for (int i = 0; i < m; i++) normed_again(x + (s + i) * c, c, gamma, beta, stats + 2 * (s + i), n + i * c);
        accumulate(h, c, m, dz, h, n, c, dw1);
        add_column_sums(dz, m, h, db1);
        multiply(m, dz, h, &down, dn, c, 0);
        memcpy(dx + s * c, d, (long)m * c * 4);
        for (int i = 0; i < m; i++)
            norm_row_backward(x + (s + i) * c, dn + i * c, c, gamma, stats + 2 * (s + i), dx + (s + i) * c, dgamma, dbeta);
    }
    free(up.data); free(down.data); free(n); free(dn); free(g); free(dz);
}

// ---------------------------------------------------------------- attention block: y = x + Wp attention(norm(x)) + bp, in windows

typedef struct { int height, width, down, across, shift; } Map; // down × across windows cover the padded map

static Map map_of(int height, int width, int shift)
{
    return (Map){ height, width, (height + WINDOW - 1) / WINDOW, (width + WINDOW - 1) / WINDOW, shift };
}

// Positions (-1: padding) and, where the map is shifted, regions of a window's tokens.
static void window_tokens(Map map, int window, int *position, int *region)
{
    int padded_h = map.down * WINDOW, padded_w = map.across * WINDOW, top = window / map.across * WINDOW, left = window % map.across * WINDOW;
    for (int t = 0; t < TOKENS; t++) {
        int r = top + t / WINDOW, q = left + t % WINDOW, y = (r + map.shift) % padded_h, x = (q + map.shift) % padded_w;
        position[t] = y < map.height && x < map.width ? y * map.width + x : -1;
        int a = !map.shift || r < padded_h - WINDOW ? 0 : r < padded_h - map.shift ? 1 : 2;
        int b = !map.shift || q < padded_w - WINDOW ? 0 : q < padded_w - map.shift ? 1 : 2;
        region[t] = 3 * a + b;
    }
}

// p [TOKENS, WIDE] = softmax(scale q k^T + bias + mask) of one head; q, k are rows of 3c floats, bias is [TOKENS, TOKENS].
static void attention_weights(const float *q, const float *k, int c, const float *bias, const int *region, int masked, float *p)
{
    float kt[HEAD * WIDE] __attribute__((aligned(64))) = {0};
    for (int j = 0; j < TOKENS; j++)
        for (int d = 0; d < HEAD; d++) kt[d * WIDE + j] = .25f * k[(long)j * 3 * c + d];
    gemm(TOKENS, WIDE, HEAD, q, 3 * c, 1, kt, WIDE, p, WIDE, 0);
    for (int i = 0; i < TOKENS; i++) {
        float *s = p + i * WIDE, top = -1e30f, sum = 0;
        for (int j = 0; j < TOKENS; j++) s[j] += bias[i * TOKENS + j];
        if (masked)
            for (int j = 0; j < TOKENS; j++) s[j] -= region[i] != region[j] ? 100.f : 0.f;
        for (int j = TOKENS; j < WIDE; j++) s[j] = -1e30f;
        for (int j = 0; j < WIDE; j++) top = s[j] > top ? s[j] : top;
        for (int j = 0; j < WIDE; j++) { s[j] = fast_exp(s[j] - top); sum += s[j]; }
        sum = 1 / sum;
        for (int j = 0; j < WIDE; j++) s[j] *= sum;
        for (int j = TOKENS; j < WIDE; j++) s[j] = 0;
    }
}

// x, y [images, height * width, c]; bias [c / 16, 49, 49]; kept for the way back: stats [images * h * w, 2], qkv [windows, 49, 3c],
// mixed [windows, 49, c].
void attention_forward(int images, int height, int width, int c, int shift, const float *x, const float *gamma, const float *beta,
                       const float *wqkv, const float *bqkv, const float *bias, const float *wproj, const float *bproj, float *y,
                       float *stats, float *qkv, float *mixed)
{
    Map map = map_of(height, width, shift);
    Packed into = pack(wqkv, c, 3 * c, 1, c), project = pack(wproj, c, c, 1, c);
    float *n = scratch(TOKENS * c), *out = scratch(TOKENS * c);
    float p[TOKENS * WIDE] __attribute__((aligned(64)));
    int position[TOKENS], region[TOKENS];
    for (long image = 0; image < images; image++)
        for (int window = 0; window < map.down * map.across; window++, qkv += TOKENS * 3 * c, mixed += TOKENS * c) {
            long base = image * height * width;
            window_tokens(map, window, position, region);
            for (int t = 0; t < TOKENS; t++) {
                if (position[t] < 0) memset(n + t * c, 0, c * 4);
                else norm_row(x + (base + position[t]) * c, c, gamma, beta, n + t * c, stats + 2 * (base + position[t]));
                memcpy(qkv + (long)t * 3 * c, bqkv, 3 * c * 4);
            }
            multiply(TOKENS, n, c, &into, qkv, 3 * c, 1);
            for (int head = 0; head < c / HEAD; head++) {
                const float *q = qkv + head * HEAD;
                attention_weights(q, q + c, c, bias + head * TOKENS * TOKENS, region, shift, p);
                gemm(TOKENS, HEAD, TOKENS, p, WIDE, 1, q + 2 * c, 3 * c, mixed + head * HEAD, c, 0);
            }
            multiply(TOKENS, mixed, c, &project, out, c, 0);
            for (int t = 0; t < TOKENS; t++)
                if (position[t] >= 0) {
                    long at = (base + position[t]) * c;
                    for (int i = 0; i < c; i++) y[at + i] = x[at + i] + out[t * c + i] + bproj[i];
                }
        }
    free(into.data); free(project.data); free(n); free(out);
}

// The gradients of weights are added to.
void attention_backward(int images, int height, int width, int c, int shift, const float *x, const float *gamma, const float *beta,
                        const float *wqkv, const float *bias, const float *wproj, const float *stats, const float *qkv,
                        const float *mixed, const float *dy, float *dx, float *dgamma, float *dbeta, float *dwqkv, float *dbqkv,
                        float *dbias, float *dwproj, float *dbproj)
{
    Map map = map_of(height, width, shift);
    Packed into = pack(wqkv, 3 * c, c, c, 1), project = pack(wproj, c, c, c, 1);
    float *n = scratch(TOKENS * c), *dn = scratch(TOKENS * c), *out = scratch(TOKENS * c), *dmixed = scratch(TOKENS * c);
    float *dqkv = scratch(TOKENS * 3 * c);
    float p[TOKENS * WIDE] __attribute__((aligned(64))), ds[TOKENS * WIDE] __attribute__((aligned(64)));
    float vt[HEAD * WIDE] __attribute__((aligned(64))) = {0};
    int position[TOKENS], region[TOKENS];
    for (long image = 0; image < images; image++)
        for (int window = 0; window < map.down * map.across; window++, qkv += TOKENS * 3 * c, mixed += TOKENS * c) {
            long base = image * height * width;
            window_tokens(map, window, position, region);
            for (int t = 0; t < TOKENS; t++) {
                long at = base + position[t];
                if (position[t] < 0) {
                    memset(n + t * c, 0, c * 4);
                    memset(out + t * c, 0, c * 4);
                } else {
                    normed_again(x + at * c, c, gamma, beta, stats + 2 * at, n + t * c);
                    memcpy(out + t * c, dy + at * c, c * 4);
                }
            }
            accumulate(c, c, TOKENS, out, c, mixed, c, dwproj);
            add_column_sums(out, TOKENS, c, dbproj);
            multiply(TOKENS, out, c, &project, dmixed, c, 0);
            for (int head = 0; head < c / HEAD; head++) {
                const float *q = qkv + head * HEAD, *k = q + c, *v = k + c, *dm = dmixed + head * HEAD;
                float *dq = dqkv + head * HEAD;
                attention_weights(q, k, c, bias + head * TOKENS * TOKENS, region, shift, p);
                for (int j = 0; j < TOKENS; j++)
                    for (int d = 0; d < HEAD; d++) vt[d * WIDE + j] = v[(long)j * 3 * c + d];
                gemm(TOKENS, WIDE, HEAD, dm, c, 1, vt, WIDE, ds, WIDE, 0);
                for (int i = 0; i < TOKENS; i++) {
                    float *s = ds + i * WIDE, *w = p + i * WIDE, sum = 0, *db = dbias + (head * TOKENS + i) * TOKENS;
                    for (int j = 0; j < WIDE; j++) sum += s[j] * w[j];
                    for (int j = 0; j < WIDE; j++) s[j] = w[j] * (s[j] - sum);
                    for (int j = 0; j < TOKENS; j++) db[j] += s[j];
                }
                gemm(TOKENS, HEAD, TOKENS, p, 1, WIDE, dm, c, dq + 2 * c, 3 * c, 0);
                for (int i = 0; i < TOKENS * WIDE; i++) ds[i] *= .25f;
                gemm(TOKENS, HEAD, TOKENS, ds, WIDE, 1, k, 3 * c, dq, 3 * c, 0);
                gemm(TOKENS, HEAD, TOKENS, ds, 1, WIDE, q, 3 * c, dq + c, 3 * c, 0);
            }
            accumulate(3 * c, c, TOKENS, dqkv, 3 * c, n, c, dwqkv);
            add_column_sums(dqkv, TOKENS, 3 * c, dbqkv);
            multiply(TOKENS, dqkv, 3 * c, &into, dn, c, 0);
            for (int t = 0; t < TOKENS; t++)
                if (position[t] >= 0) {
                    long at = base + position[t];
                    memcpy(dx + at * c, out + t * c, c * 4);
                    norm_row_backward(x + at * c, dn + t * c, c, gamma, stats + 2 * at, dx + at * c, dgamma, dbeta);
                }
        }
    free(into.data); free(project.data); free(n); free(dn); free(out); free(dmixed); free(dqkv);
}

// ---------------------------------------------------------------- convolution 3 × 3, padding 1: modulated deformable, or plain without offsets

typedef struct { const float *corner[4]; long at[4]; float weight[4], ly, lx; int inside[4], any; } Sample;

INLINE Sample sample_at(const float *x, int height, int width, int c, float y, float xx)
{
    Sample s = { .any = y > -1 && xx > -1 && y < height && xx < width };
    if (!s.any) return s;
    int top = (int)floorf(y), left = (int)floorf(xx);
    s.ly = y - top;
    s.lx = xx - left;
    for (int i = 0; i < 4; i++) {
        int r = top + (i >> 1), q = left + (i & 1);
        s.inside[i] = r >= 0 && q >= 0 && r < height && q < width;
        s.at[i] = s.inside[i] ? ((long)r * width + q) * c : 0;
        s.corner[i] = x + s.at[i];
        s.weight[i] = s.inside[i] ? (i >> 1 ? s.ly : 1 - s.ly) * (i & 1 ? s.lx : 1 - s.lx) : 0;
    }
    return s;
}

INLINE Sample tap_at(const float *x, const float *offset, int height, int width, int c, int cells, int columns, int stride, int cell,
                     int tap)
{
    return sample_at(x, height, width, c, cell / columns * stride - 1 + tap / 3 + offset[(long)2 * tap * cells + cell],
                     cell % columns * stride - 1 + tap % 3 + offset[((long)2 * tap + 1) * cells + cell]);
}

// Position that a tap of a plain convolution reads, -1 outside.
INLINE long plain_tap(int height, int width, int columns, int stride, int cell, int tap)
{
    int r = cell / columns * stride - 1 + tap / 3, q = cell % columns * stride - 1 + tap % 3;
    return r >= 0 && q >= 0 && r < height && q < width ? (long)r * width + q : -1;
}

static void gather_taps(const float *x, const float *offset, const float *mask, int height, int width, int c, int cells, int columns,
                        int stride, int first, int m, float *taps)
{
    for (int i = 0; i < m; i++)
        for (int tap = 0; tap < 9; tap++, taps += c) {
            if (!offset) {
                long from = plain_tap(height, width, columns, stride, first + i, tap);
                if (from < 0) memset(taps, 0, c * 4);
                else memcpy(taps, x + from * c, c * 4);
                continue;
            }
            Sample s = tap_at(x, offset, height, width, c, cells, columns, stride, first + i, tap);
            if (!s.any) {
                memset(taps, 0, c * 4);
                continue;
            }
            float g = mask[(long)tap * cells + first + i];
            float w0 = s.weight[0] * g, w1 = s.weight[1] * g, w2 = s.weight[2] * g, w3 = s.weight[3] * g;
            for (int j = 0; j < c; j++)
                taps[j] = w0 * s.corner[0][j] + w1 * s.corner[1][j] + w2 * s.corner[2][j] + w3 * s.corner[3][j];
        }
}

// x [images, height, width, c]; offset (or null) and mask: flat, `offsets` and `masks` floats an image, of which the first 18 and 9 times
// rows * columns are used; w [out, 9, c]; y [images, rows, columns, out].
void conv3_forward(int images, int height, int width, int c, int out, int rows, int columns, int stride, long offsets, long masks,
                    const float *x, const float *offset, const float *mask, const float *w, const float *b, float *y)
{
    Packed weights = pack(w, 9 * c, out, 1, 9 * c);
    float *taps = scratch(ROWS * 9 * c);
    int cells = rows * columns;
    for (int image = 0; image < images; image++, x += (long)height * width * c, offset = offset ? offset + offsets : 0, mask += masks)
        for (int s = 0; s < cells; s += ROWS) {
            int m = cells - s < ROWS ? cells - s : ROWS;
            gather_taps(x, offset, mask, height, width, c, cells, columns, stride, s, m, taps);
            for (int i = 0; i < m; i++) memcpy(y + (long)i * out, b, out * 4);
            multiply(m, taps, 9 * c, &weights, y, out, 1);
            y += (long)m * out;
        }
    free(weights.data); free(taps);
}

// All gradients are added to.
void conv3_backward(int images, int height, int width, int c, int out, int rows, int columns, int stride, long offsets, long masks,
                     const float *x, const float *offset, const float *mask, const float *w, const float *dy, float *dx, float *doffset,
                     float *dmask, float *dw, float *db)
{
    Packed weights = pack(w, out, 9 * c, 9 * c, 1);
    float *taps = scratch(ROWS * 9 * c), *dtaps = scratch(ROWS * 9 * c);
    int cells = rows * columns;
    for (int image = 0; image < images; image++) {
        for (int s = 0; s < cells; s += ROWS) {
            int m = cells - s < ROWS ? cells - s : ROWS;
            gather_taps(x, offset, mask, height, width, c, cells, columns, stride, s, m, taps);
            accumulate(out, 9 * c, m, dy, out, taps, 9 * c, dw);
            add_column_sums(dy, m, out, db);
            multiply(m, dy, out, &weights, dtaps, 9 * c, 0);
            const float *d = dtaps;
            for (int i = 0; i < m; i++)
                for (int tap = 0; tap < 9; tap++, d += c) {
                    if (!offset) {
                        long to = plain_tap(height, width, columns, stride, s + i, tap);
                        if (to >= 0)
                            for (int j = 0; j < c; j++) dx[to * c + j] += d[j];
                        continue;
                    }
                    Sample p = tap_at(x, offset, height, width, c, cells, columns, stride, s + i, tap);
                    if (!p.any) continue;
                    long cell = s + i;
                    float g = mask[(long)tap * cells + cell], dot[4] = {0};
                    for (int k = 0; k < 4; k++) {
                        if (!p.inside[k]) continue;
                        float *to = dx + p.at[k], f = p.weight[k] * g, sum = 0;
                        const float *from = p.corner[k];
                        for (int j = 0; j < c; j++) {
                            sum += from[j] * d[j];
                            to[j] += f * d[j];
                        }
                        dot[k] = sum;
                    }
                    dmask[(long)tap * cells + cell] += p.weight[0] * dot[0] + p.weight[1] * dot[1] + p.weight[2] * dot[2] + p.weight[3] * dot[3];
                    doffset[(long)2 * tap * cells + cell] += g * ((1 - p.lx) * (dot[2] - dot[0]) + p.lx * (dot[3] - dot[1]));
                    doffset[((long)2 * tap + 1) * cells + cell] += g * ((1 - p.ly) * (dot[1] - dot[0]) + p.ly * (dot[3] - dot[2]));
                }
            dy += (long)m * out;
        }
        x += (long)height * width * c;
        dx += (long)height * width * c;
        offset = offset ? offset + offsets : 0;
        doffset += offsets;
        mask += masks;
        dmask += masks;
    }
    free(weights.data); free(taps); free(dtaps);
}

// ---------------------------------------------------------------- group norm of [images, cells, c]; stats [images, groups, 2]

void group_norm_forward(int images, int cells, int c, int groups, const float *x, const float *gamma, const float *beta, float *y,
                        float *stats)
{
    int width = c / groups;
    float sum[c], squares[c], scale[c], shift[c];
    for (int image = 0; image < images; image++, x += (long)cells * c, y += (long)cells * c) {
        memset(sum, 0, sizeof sum);
        memset(squares, 0, sizeof squares);
        for (long i = 0; i < cells; i++)
            for (int j = 0; j < c; j++) sum[j] += x[i * c + j];
        for (int j = 0; j < c; j += width) {
            float total = 0;
            for (int k = 0; k < width; k++) total += sum[j + k];
            for (int k = 0; k < width; k++) sum[j + k] = total / ((float)cells * width);
        }
        for (long i = 0; i < cells; i++)
            for (int j = 0; j < c; j++) squares[j] += (x[i * c + j] - sum[j]) * (x[i * c + j] - sum[j]);
        for (int j = 0; j < c; j += width, stats += 2) {
            float total = 0;
            for (int k = 0; k < width; k++) total += squares[j + k];
            stats[0] = sum[j];
            stats[1] = 1 / sqrtf(total / ((float)cells * width) + 1e-5f);
            for (int k = j; k < j + width; k++) {
                scale[k] = stats[1] * gamma[k];
                shift[k] = beta[k] - stats[0] * scale[k];
            }
        }
        for (long i = 0; i < cells; i++)
            for (int j = 0; j < c; j++) y[i * c + j] = x[i * c + j] * scale[j] + shift[j];
    }
}

// dgamma and dbeta are added to.
void group_norm_backward(int images, int cells, int c, int groups, const float *x, const float *gamma, const float *stats, const float *dy,
                         float *dx, float *dgamma, float *dbeta)
{
    int width = c / groups;
    float sum[c], product[c], scale[c], slope[c], shift[c];
    for (int image = 0; image < images; image++, x += (long)cells * c, dy += (long)cells * c, dx += (long)cells * c) {
        memset(sum, 0, sizeof sum);
        memset(product, 0, sizeof product);
        for (long i = 0; i < cells; i++)
            for (int j = 0; j < c; j++) {
                sum[j] += dy[i * c + j];
                product[j] += dy[i * c + j] * x[i * c + j];
            }
        for (int j = 0; j < c; j += width, stats += 2) {
            float mean = stats[0], r = stats[1], a = 0, b = 0;
            for (int k = j; k < j + width; k++) {
                float along = r * (product[k] - mean * sum[k]);
                dgamma[k] += along;
                dbeta[k] += sum[k];
                a += gamma[k] * sum[k];
                b += gamma[k] * along;
            }
            a /= (float)cells * width;
            b /= (float)cells * width;
            for (int k = j; k < j + width; k++) { // dx = r (gamma dy - a - (x - mean) r b)
                scale[k] = r * gamma[k];
                slope[k] = -r * r * b;
                shift[k] = -r * a + r * r * b * mean;
            }
        }
        for (long i = 0; i < cells; i++)
            for (int j = 0; j < c; j++) dx[i * c + j] = dy[i * c + j] * scale[j] + x[i * c + j] * slope[j] + shift[j];
    }
}

// ---------------------------------------------------------------- linear layer: y = x W^T + b, out a multiple of 16

void linear_forward(long rows, int in, int out, const float *x, const float *w, const float *b, float *y)
{
    Packed weights = pack(w, in, out, 1, in);
    for (long i = 0; i < rows; i++) memcpy(y + i * out, b, out * 4);
    for (long s = 0; s < rows; s += ROWS)
        multiply(rows - s < ROWS ? rows - s : ROWS, x + s * in, in, &weights, y + s * out, out, 1);
    free(weights.data);
}

// dw and db are added to.
void linear_backward(long rows, int in, int out, const float *x, const float *w, const float *dy, float *dx, float *dw, float *db)
{
    Packed weights = pack(w, out, in, in, 1);
    for (long s = 0; s < rows; s += ROWS) {
        int m = rows - s < ROWS ? rows - s : ROWS;
        const float *d = dy + s * out;
        multiply(m, d, out, &weights, dx + s * in, in, 0);
        accumulate(out, in, m, d, out, x + s * in, in, dw);
        add_column_sums(d, m, out, db);
    }
    free(weights.data);
}

// ---------------------------------------------------------------- fusion: attention both ways between n cells and t tokens

// Tokens before the padding at the end.
static int real_tokens(const float *mask, int t)
{
    while (t > 1 && mask[t - 1] == 0) t--;
    return t;
}

// to[t, d] (rows of e floats) = w[n, wide]^T x[n, d] (rows of e floats)
static void gather_columns(int n, int t, int wide, int e, int d, const float *w, const float *x, float *sum, float *to)
{
    memset(sum, 0, (long)wide * d * 4);
    for (long s = 0; s < n; s += ROWS) accumulate(wide, d, n - s < ROWS ? n - s : ROWS, w + s * wide, wide, x + s * e, e, sum);
    for (int j = 0; j < t; j++) memcpy(to + (long)j * e, sum + j * d, d * 4);
}

// Weights of one head, [n, wide]: `image` is a softmax over tokens, `text` one over cells. q, k are rows of e floats.
static void fusion_weights(int n, int t, int wide, int e, int d, float scale, const float *q, const float *k, float *image, float *text)
{
    Packed keys = pack(k, d, t, 1, e);
    float top[wide], sum[wide];
    for (int j = 0; j < wide; j++) { top[j] = -1e30f; sum[j] = 0; }
    multiply(n, q, e, &keys, text, wide, 0);
    free(keys.data);
    for (int i = 0; i < n; i++) {
        float *s = text + (long)i * wide, *p = image + (long)i * wide, most = -1e30f, all = 0;
        for (int j = 0; j < t; j++) s[j] *= scale;
        for (int j = t; j < wide; j++) s[j] = -1e30f;
        for (int j = 0; j < wide; j++) {
            top[j] = s[j] > top[j] ? s[j] : top[j];
            most = s[j] > most ? s[j] : most;
        }
        for (int j = 0; j < wide; j++) { p[j] = fast_exp(s[j] - most); all += p[j]; }
        all = 1 / all;
        for (int j = 0; j < wide; j++) p[j] *= all;
        for (int j = t; j < wide; j++) p[j] = 0;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < wide; j++) {
            float w = fast_exp(text[(long)i * wide + j] - top[j]);
            text[(long)i * wide + j] = w;
            sum[j] += w;
        }
    for (int j = 0; j < wide; j++) sum[j] = j < t ? 1 / sum[j] : 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < wide; j++) text[(long)i * wide + j] *= sum[j];
}

// q, vv, ov [images, n, e]; k, vl, ol [images, t, e]; mask [images, t], padding at the end; heads of d channels, a multiple of 16. Rows of
// padding in ol stay as they are.
void fusion_forward(int images, int n, int t, int e, int d, float scale, const float *q, const float *k, const float *vv, const float *vl,
                    const float *mask, float *ov, float *ol)
{
    int most = (t + 15) / 16 * 16;
    float *image = scratch((long)n * most), *text = scratch((long)n * most), *sum = scratch((long)most * d);
    for (long b = 0; b < images; b++)
        for (int head = 0; head < e; head += d) {
            long v = b * n * e + head, l = b * t * e + head;
            int real = real_tokens(mask + b * t, t), wide = (real + 15) / 16 * 16;
            fusion_weights(n, real, wide, e, d, scale, q + v, k + l, image, text);
            Packed values = pack(vl + l, real, d, e, 1);
            multiply(n, image, wide, &values, ov + v, e, 0);
            free(values.data);
            gather_columns(n, real, wide, e, d, text, vv + v, sum, ol + l);
        }
    free(image); free(text); free(sum);
}

// Rows of padding in dk and dvl stay as they are.
void fusion_backward(int images, int n, int t, int e, int d, float scale, const float *q, const float *k, const float *vv,
                     const float *vl, const float *mask, const float *dov, const float *dol, float *dq, float *dk, float *dvv, float *dvl)
{
    int most = (t + 15) / 16 * 16;
    float *image = scratch((long)n * most), *text = scratch((long)n * most), *sum = scratch((long)most * d);
    float *dimage = scratch((long)n * most), *dtext = scratch((long)n * most), along[most];
    for (long b = 0; b < images; b++)
        for (int head = 0; head < e; head += d) {
            long v = b * n * e + head, l = b * t * e + head;
            int real = real_tokens(mask + b * t, t), wide = (real + 15) / 16 * 16;
            fusion_weights(n, real, wide, e, d, scale, q + v, k + l, image, text);
            gather_columns(n, real, wide, e, d, image, dov + v, sum, dvl + l);
            Packed to_cells = pack(dol + l, real, d, e, 1), from_cells = pack(dol + l, d, real, 1, e);
            Packed from_tokens = pack(vl + l, d, real, 1, e), keys = pack(k + l, real, d, e, 1);
            multiply(n, text, wide, &to_cells, dvv + v, e, 0);
            multiply(n, dov + v, e, &from_tokens, dimage, wide, 0);
            multiply(n, vv + v, e, &from_cells, dtext, wide, 0);
            memset(along, 0, sizeof along);
            for (long i = 0; i < n; i++)
                for (int j = 0; j < real; j++) along[j] += dtext[i * wide + j] * text[i * wide + j];
            for (long i = 0; i < n; i++) {
                float *s = dimage + i * wide, *p = image + i * wide, *u = dtext + i * wide, *r = text + i * wide, all = 0;
                for (int j = 0; j < real; j++) all += s[j] * p[j];
                for (int j = 0; j < real; j++) s[j] = scale * (p[j] * (s[j] - all) + r[j] * (u[j] - along[j]));
                for (int j = real; j < wide; j++) s[j] = 0;
            }
            multiply(n, dimage, wide, &keys, dq + v, e, 0);
            gather_columns(n, real, wide, e, d, dimage, q + v, sum, dk + l);
            free(to_cells.data); free(from_cells.data); free(from_tokens.data); free(keys.data);
        }
    free(image); free(text); free(sum); free(dimage); free(dtext);
}

// ---------------------------------------------------------------- focal loss of tokens

// logits, target (0 or 1), gradient [images, n, t]; mask [images, t], padding at the end. Gradient of the sum, which is returned.
double token_loss(int images, int n, int t, const float *logits, const float *target, const float *mask, float alpha, float *gradient)
{
    double total = 0;
    for (long b = 0; b < images; b++) {
        int real = real_tokens(mask + b * t, t);
        for (long i = 0; i < n; i++, logits += t, target += t, gradient += t) {
            float row = 0;
            for (int j = 0; j < real; j++) {
                // With y = 1 turned to y = 0 of -x: weight p^2 log(1 + e^x).
                float sign = target[j] > 0 ? -1.f : 1.f, x = sign * logits[j], weight = target[j] > 0 ? alpha : 1 - alpha;
                float e = fast_exp(-fabsf(x)), p = (x > 0 ? 1.f : e) / (1 + e), soft = (x > 0 ? x : 0.f) + logf(1 + e);
                row += weight * p * p * soft;
                gradient[j] = sign * weight * p * p * (2 * (1 - p) * soft + p);
            }
            for (int j = real; j < t; j++) gradient[j] = 0;
            total += row;
        }
    }
    return total;
}

// ---------------------------------------------------------------- optimiser

// AdamW; `decay` per element is 0 or 1, gradients are scaled first, c1 and c2 are 1 - b1^t and 1 - b2^t.
void adamw(long n, float *w, const float *g, float *m, float *v, const unsigned char *decay, float scale, float lr, float wd, float b1,
           float b2, float c1, float c2)
{
    for (long i = 0; i < n; i++) {
        float d = g[i] * scale, q = d * d;
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * (q < 1e-30f ? 0 : q);
        w[i] = w[i] * (1 - (decay[i] ? lr * wd : 0)) - lr * (m[i] / c1) / (sqrtf(v[i] / c2) + 1e-8f);
    }
}

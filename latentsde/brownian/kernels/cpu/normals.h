// Words to standard normals by Box and Muller, without a library: the same operations in the same order give the same
// bits on every processor that has fused multiply-add. Included once by each instruction set.
//
//     radius = sqrt(-2 ln u),  u = (first + 1/2) 2^-32;   normals = radius (cos, sin)(2 pi (second + 1/2) 2^-32)
//
// The polynomials interpolate at Chebyshev nodes (tests/brownian/test_kernels.py holds them against long doubles);
// errors: 2 ulp of float32 where |z| >= 1, 1.3e-7 below (the specification allows 2.4e-7); a few 1e-16 in float64.

INLINE float bits_to_real(int32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
INLINE double bits_to_real(int64_t bits) {
    double x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
INLINE int32_t real_to_bits(float x) {
    int32_t bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    return bits;
}
INLINE int64_t real_to_bits(double x) {
    int64_t bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    return bits;
}

#if defined(LATENTSDE_FMA)
INLINE float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
INLINE double fma_(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
// The product of two floats is exact in double: off by one rounding in a billion at most. For doubles there is no such
// help; they keep 15 digits.
INLINE float fma_(float a, float b, float c) { return (float)((double)a * b + c); }
INLINE double fma_(double a, double b, double c) { return a * b + c; }
#endif

// The radius, and what its rounding left out.
INLINE void radius(uint32_t word, float& r, float& rest) {
    // x = word + 1/2 as top + low, both exact: float32 has 24 bits of the 33.
    const bool large = (word >> 23) != 0;
    const float top = (float)(int32_t)(large ? word >> 8 : word) + (large ? 0.0f : 0.5f);
    const float low = large ? (float)(int32_t)(word & 255) + 0.5f : 0.0f;
    // u = 2^exponent (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), so that u near 1 has exponent 0 and an exact f.
    const int32_t shifted = real_to_bits(top) + (0x3f800000 - 0x3f3504f3);
    const int32_t power = (shifted >> 23) - 127;
    const float mantissa = bits_to_real((shifted & 0x7fffff) + 0x3f3504f3);
    const float f = fma_(low, bits_to_real((127 - 8 - power) << 23), mantissa - 1.0f);
    const float exponent = (float)(power - (large ? 24 : 32));
    // ln(1 + f) = f - tail = f - f^2 (1/2 - f P(f)). No division: with the root it would take most of the time.
    float series = -0x1.38b4ccp-4f;
    series = fma_(f, series, 0x1.055b46p-3f);
    series = fma_(f, series, -0x1.0d8552p-3f);
    series = fma_(f, series, 0x1.22da22p-3f);
    series = fma_(f, series, -0x1.547244p-3f);
    series = fma_(f, series, 0x1.99a008p-3f);
    series = fma_(f, series, -0x1.000228p-2f);
    series = fma_(f, series, 0x1.555554p-2f);
    const float tail = (f * f) * fma_(-f, series, 0.5f);
    const float large_part = exponent * 0x1.62e3p-1f;  // exact: the constant ends in zeros
    const float small_part = f - fma_(exponent, -0x1.2fefa4p-17f, tail);
    const float log = large_part + small_part;
    const float square = -2.0f * log;
    r = __builtin_sqrtf(square);
    // What the sum and the root rounded off, over 2r, by a rough 1/r: three digits of it are enough.
    const float lost = fma_(-r, r, square) * 0.5f - (small_part - (log - large_part));
    rest = lost * bits_to_real(0x5f3759df - (real_to_bits(square) >> 1));
}

INLINE void radius(uint32_t word, double& r, double& rest) {
    const double x = (double)(int32_t)(word ^ 0x80000000u) + 2147483648.5;
    const int64_t shifted = real_to_bits(x) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    // The biased exponent in the last bits of 2^52: a conversion that every instruction set has.
    const double exponent = bits_to_real((shifted >> 52) | 0x4330000000000000) - (4503599627370496.0 + 1023.0 + 32.0);
    const double f = bits_to_real((shifted & 0xfffffffffffff) + 0x3fe6a09e667f3bcd) - 1.0;
    const double s = f / (2.0 + f), z = s * s;
    double series = 0x1.2b584abe1acc3p-3;
    series = fma_(z, series, 0x1.39fe6063c42c6p-3);
    series = fma_(z, series, 0x1.7462b4ab3d096p-3);
    series = fma_(z, series, 0x1.c71c62e57fca7p-3);
    series = fma_(z, series, 0x1.2492492df1491p-2);
    series = fma_(z, series, 0x1.99999999952e2p-2);
    series = fma_(z, series, 0x1.5555555555558p-1);
    const double half = 0.5 * f * f;
    const double tail = half - s * (half + z * series);
    const double large_part = exponent * 0x1.62e42fee00000p-1;
    r = __builtin_sqrt(-2.0 * (large_part + (f - fma_(exponent, -0x1.a39ef35793c76p-33, tail))));
    rest = 0.0;
}

// sin and cos of 2 pi t, |t| <= 1/8.
INLINE void sine_cosine(float t, float& sine, float& cosine) {
    const float z = t * t;
    const float s = fma_(z, fma_(z, fma_(z, -0x1.2ee7bcp+6f, 0x1.4665e8p+6f), -0x1.4abbccp+5f), -0x1.777a5cp-23f);
    sine = fma_(t, 0x1.921fb6p+2f, t * s);
    const float c = fma_(z, fma_(z, fma_(z, 0x1.db6492p+5f, -0x1.55cb98p+6f), 0x1.03c1eap+6f), -0x1.37c8bcp-21f);
    cosine = 1.0f + fma_(z, -0x1.3bd3ccp+4f, z * c);
}
INLINE void sine_cosine(double t, double& sine, double& cosine) {
    const double z = t * t;
    double s = -0x1.6cc577d7c0c54p-1;
    s = fma_(z, s, 0x1.e8f036bcc905bp+1);
    s = fma_(z, s, -0x1.e3074d2614a63p+3);
    s = fma_(z, s, 0x1.50783486facaap+5);
    s = fma_(z, s, -0x1.32d2cce62b872p+6);
    s = fma_(z, s, 0x1.466bc6775aae1p+6);
    s = fma_(z, s, -0x1.4abbce625be53p+5);
    sine = fma_(t, 0x1.921fb54442d18p+2, t * fma_(z, s, 0x1.1a62633145c07p-52));
    double c = -0x1.b2f3eb0115ebap+0;
    c = fma_(z, c, 0x1.f9ce245c9ff41p+2);
    c = fma_(z, c, -0x1.a6d1eef479acfp+4);
    c = fma_(z, c, 0x1.e1f5068688d59p+5);
    c = fma_(z, c, -0x1.55d3c7e3cb241p+6);
    c = fma_(z, c, 0x1.03c1f081b5ac0p+6);
    c = fma_(z, c, -0x1.3bd3cc9be45dep+4);
    cosine = fma_(z, c, 1.0);
}

INLINE int32_t sign_bit(float, uint32_t turn) { return (int32_t)(turn << 31); }
INLINE int64_t sign_bit(double, uint32_t turn) { return (int64_t)((uint64_t)turn << 63); }

template <class Real>
INLINE Real with_sign(Real x, uint32_t negative) {
    return bits_to_real(real_to_bits(x) ^ sign_bit(x, negative));
}

// Two planes of words to two planes of normals.
template <class Real>
INLINE void box_muller(const uint32_t* RESTRICT first, const uint32_t* RESTRICT second, Real* RESTRICT out_cosine,
                       Real* RESTRICT out_sine) {
    alignas(64) Real r[LANES], rest[LANES];
    for (int i = 0; i < LANES; i++) radius(first[i], r[i], rest[i]);
    for (int i = 0; i < LANES; i++) {
        // The nearest quarter turn, and the signed rest in units of 2^-33 turns, an odd integer.
        const uint32_t quarter = (second[i] + 0x20000000u) >> 30;
        const int32_t odd = (int32_t)(2u * (second[i] - (quarter << 30)) + 1u);
        Real sine, cosine;
        sine_cosine((Real)odd * (Real)0x1p-33, sine, cosine);
        const bool swapped = quarter & 1;
        const Real x = swapped ? sine : cosine, y = swapped ? cosine : sine;
        out_cosine[i] = with_sign(fma_(r[i], x, rest[i] * x), ((quarter + 1) >> 1) & 1);
        out_sine[i] = with_sign(fma_(r[i], y, rest[i] * y), quarter >> 1);
    }
}

INLINE void words_of(const Block& block, const uint32_t* node, bool one_node, uint32_t domain_and_kind, Key key,
                     uint32_t (*words)[LANES]) {
    for (int i = 0; i < LANES; i++) {
        words[0][i] = one_node ? *node : node[i];
        words[1][i] = block.group[i] | domain_and_kind;
        words[2][i] = block.id_low[i];
        words[3][i] = block.id_high[i];
    }
    philox(words, key);
}

// The normals of a block at one node for all lanes or at one for each.
template <class Real>
INLINE void normals(const Block& block, const uint32_t* node, bool one_node, uint32_t domain_and_kind, Key key,
                    Real* RESTRICT out) {
    alignas(64) uint32_t words[4][LANES];
    words_of(block, node, one_node, domain_and_kind, key, words);
    box_muller(words[0], words[1], out, out + LANES);
    if (block.planes > 2) box_muller(words[2], words[3], out + 2 * LANES, out + 3 * LANES);
}

// Planes of lanes to places in an array (batch, channels).
template <class Real>
INLINE void place(const Block& block, const Real* RESTRICT planes, Real scale, Real* RESTRICT out) {
    if (block.packed) {
        Real* begin = out + block.place[0];
        for (int i = 0; i < LANES; i++)
            for (int j = 0; j < PLANES; j++) begin[PLANES * i + j] = scale * planes[j * LANES + i];
        return;
    }
    for (int i = 0; i < block.lanes; i++)
        for (int j = 0; j < block.width[i]; j++) out[block.place[i] + j] = scale * planes[j * LANES + i];
}

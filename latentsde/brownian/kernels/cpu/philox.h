// Philox4x32-10 on a block of counters (Salmon, Moraes, Dror & Shaw 2011). Included once by each instruction set.
//
// A 32-bit word travels in a 64-bit lane, whose upper half is left to fill with rubbish: the widening multiplication
// reads lower halves only, so that a round is two multiplications, two shifts and four exclusive ors.

#if defined(LATENTSDE_AVX512)

struct Wide {
    static constexpr int WIDTH = 8, UNROLL = 4;
    __m512i v;
    static Wide load(const uint32_t* p) { return {_mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i*)p))}; }
    static Wide fill(uint32_t x) { return {_mm512_set1_epi64((long long)x)}; }
    void store(uint32_t* p) const { _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi64_epi32(v)); }
    Wide times(Wide o) const { return {_mm512_mul_epu32(v, o.v)}; }
    Wide upper() const { return {_mm512_srli_epi64(v, 32)}; }
    static Wide mix(Wide a, Wide b, Wide c) { return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)}; }
};

#elif defined(LATENTSDE_AVX2)

struct Wide {
    static constexpr int WIDTH = 4, UNROLL = 2;
    __m256i v;
    static Wide load(const uint32_t* p) { return {_mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i*)p))}; }
    static Wide fill(uint32_t x) { return {_mm256_set1_epi64x((long long)x)}; }
    void store(uint32_t* p) const {
        __m256i packed = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(packed));
    }
    Wide times(Wide o) const { return {_mm256_mul_epu32(v, o.v)}; }
    Wide upper() const { return {_mm256_srli_epi64(v, 32)}; }
    static Wide mix(Wide a, Wide b, Wide c) { return {_mm256_xor_si256(_mm256_xor_si256(a.v, b.v), c.v)}; }
};

#elif defined(LATENTSDE_X86)

struct Wide {
    static constexpr int WIDTH = 2, UNROLL = 2;
    __m128i v;
    static Wide load(const uint32_t* p) {
        return {_mm_unpacklo_epi32(_mm_loadl_epi64((const __m128i*)p), _mm_setzero_si128())};
    }
    static Wide fill(uint32_t x) { return {_mm_set_epi32(0, (int)x, 0, (int)x)}; }
    void store(uint32_t* p) const { _mm_storel_epi64((__m128i*)p, _mm_shuffle_epi32(v, 0x08)); }
    Wide times(Wide o) const { return {_mm_mul_epu32(v, o.v)}; }
    Wide upper() const { return {_mm_srli_epi64(v, 32)}; }
    static Wide mix(Wide a, Wide b, Wide c) { return {_mm_xor_si128(_mm_xor_si128(a.v, b.v), c.v)}; }
};

#else

struct Wide {
    static constexpr int WIDTH = 1, UNROLL = 4;
    uint64_t v;
    static Wide load(const uint32_t* p) { return {*p}; }
    static Wide fill(uint32_t x) { return {x}; }
    void store(uint32_t* p) const { *p = (uint32_t)v; }
    Wide times(Wide o) const { return {(uint64_t)(uint32_t)v * (uint32_t)o.v}; }
    Wide upper() const { return {v >> 32}; }
    static Wide mix(Wide a, Wide b, Wide c) { return {a.v ^ b.v ^ c.v}; }
};

#endif

// Encrypt the counters in place.
INLINE void philox(uint32_t (*words)[LANES], Key key) {
    constexpr int STEP = Wide::WIDTH * Wide::UNROLL;
    const Wide first = Wide::fill(0xD2511F53u), second = Wide::fill(0xCD9E8D57u);
    for (int begin = 0; begin < LANES; begin += STEP) {
        Wide c0[Wide::UNROLL], c1[Wide::UNROLL], c2[Wide::UNROLL], c3[Wide::UNROLL];
        for (int i = 0; i < Wide::UNROLL; i++) {
            const int at = begin + i * Wide::WIDTH;
            c0[i] = Wide::load(words[0] + at);
            c1[i] = Wide::load(words[1] + at);
            c2[i] = Wide::load(words[2] + at);
            c3[i] = Wide::load(words[3] + at);
        }
        uint32_t low = key.low, high = key.high;
        for (int round = 0; round < 10; round++) {
            const Wide k0 = Wide::fill(low), k1 = Wide::fill(high);
            for (int i = 0; i < Wide::UNROLL; i++) {
                const Wide left = c0[i].times(first), right = c2[i].times(second);
                c0[i] = Wide::mix(right.upper(), c1[i], k0);
                c2[i] = Wide::mix(left.upper(), c3[i], k1);
                c1[i] = right;
                c3[i] = left;
            }
            low += 0x9E3779B9u;
            high += 0xBB67AE85u;
        }
        for (int i = 0; i < Wide::UNROLL; i++) {
            const int at = begin + i * Wide::WIDTH;
            c0[i].store(words[0] + at);
            c1[i].store(words[1] + at);
            c2[i].store(words[2] + at);
            c3[i].store(words[3] + at);
        }
    }
}

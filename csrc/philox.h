/* The counter-based generator Philox4x32-10 (Salmon, Moraes, Dror & Shaw, SC'11): every block of four words is a
 * function of its counter and key alone, so a deviate does not depend on the order in which others are drawn.
 */
#ifndef NB_PHILOX_H
#define NB_PHILOX_H

#include <stdint.h>

#define NB_PHILOX_ROUNDS 10
#define NB_PHILOX_M0 UINT32_C(0xD2511F53)
#define NB_PHILOX_M1 UINT32_C(0xCD9E8D57)
#define NB_PHILOX_W0 UINT32_C(0x9E3779B9)
#define NB_PHILOX_W1 UINT32_C(0xBB67AE85)

/* Encrypt four words in place. */
static inline void nb_philox_block(uint32_t x[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < NB_PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)NB_PHILOX_M0 * x[0], p1 = (uint64_t)NB_PHILOX_M1 * x[2];
        const uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
        x[1] = (uint32_t)p1, x[3] = (uint32_t)p0, x[0] = y0, x[2] = y2;
        k0 += NB_PHILOX_W0, k1 += NB_PHILOX_W1;
    }
}

/* A number within 0 and 1, both excluded, of two words: the middle of one of 2^52 intervals. */
static inline double nb_philox_unit(uint32_t high, uint32_t low) {
    const uint64_t bits = ((uint64_t)high << 20) | (low >> 12);
    return ((double)bits + 0.5) * (1.0 / 4503599627370496.0);
}

#endif

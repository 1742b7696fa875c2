// Hashes, each with its purpose. All give the same value on every machine.
#pragma once
#include "base/bytes.h"

struct hash128 {
  uint64_t hi, lo;
};
static inline bool hash128_eq(struct hash128 a, struct hash128 b) { return a.hi == b.hi && a.lo == b.lo; }

// XXH3, for digests, tables of our own names, and hold-outs. Not for keys that a stranger chooses.
uint64_t hash64(struct bytes b);
uint64_t hash64_seed(struct bytes b, uint64_t seed);
struct hash128 hash128(struct bytes b);
// SipHash-2-4 with 128-bit output (libsodium's siphashx24), for what strangers choose: identities, message ids.
struct hash128 hash128_keyed(const uint8_t key[16], struct bytes b);
// Mixes two 64-bit values into one (splitmix64's finaliser over a combination): for draws from (lead, name).
uint64_t hash_mix(uint64_t a, uint64_t b);
// The top 53 bits as a number in [0, 1).
double hash_unit(uint64_t h);

// CRC-32C (Castagnoli), as in iSCSI and RFC 3720; start with crc 0.
uint32_t crc32c(uint32_t crc, struct bytes b);

#define SHA256_SIZE 32
struct sha256; // incremental, on libcrypto
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *s);
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, struct bytes b);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_SIZE]);
void sha256_of(struct bytes b, uint8_t out[SHA256_SIZE]);

void hex_encode(struct bytes b, char *out); // 2n+1 chars, lower case, NUL at the end
// Exactly 2n hexadecimal digits into n bytes. ITD_EINVAL otherwise.
int hex_decode(struct bytes text, uint8_t *out, size_t n);
void random_bytes(void *out, size_t n); // from the kernel

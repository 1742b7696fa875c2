// Hashes over three libraries: xxHash (XXH3), libsodium (SipHash), libcrypto (SHA-256), and the CPU's CRC-32C. Any
// thread.
#include "base/hash.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/status.h"

#include <errno.h>
#include <nmmintrin.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

// The libraries are never handed NULL, whatever they say about it.
static const void *start(struct bytes b) { return b.n ? b.p : (const uint8_t *)""; }

uint64_t hash64(struct bytes b) { return XXH3_64bits(start(b), b.n); }

uint64_t hash64_seed(struct bytes b, uint64_t seed) { return XXH3_64bits_withSeed(start(b), b.n, seed); }

struct hash128 hash128(struct bytes b) {
  XXH128_hash_t h = XXH3_128bits(start(b), b.n);
  return (struct hash128){.hi = h.high64, .lo = h.low64};
}

struct hash128 hash128_keyed(const uint8_t key[16], struct bytes b) {
  _Static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16 && crypto_shorthash_siphashx24_BYTES == 16, "sizes");
  struct hash128 h;
  uint8_t out[16];
  crypto_shorthash_siphashx24(out, start(b), b.n, key);
  memcpy(&h.hi, out, 8); // little-endian, as SipHash's authors write it
  memcpy(&h.lo, out + 8, 8);
  return h;
}

// The finaliser of splitmix64 (Steele, Lea and Flood 2014, with Stafford's constants): a bijection that mixes well.
static uint64_t finalise(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t hash_mix(uint64_t a, uint64_t b) { return finalise(finalise(a) ^ b); }

double hash_unit(uint64_t h) { return (double)(h >> 11) * 0x1p-53; }

uint32_t crc32c(uint32_t crc, struct bytes b) {
  uint64_t c = ~crc & 0xFFFFFFFFu;
  const uint8_t *p = b.p;
  size_t n = b.n;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    c = _mm_crc32_u64(c, word);
  }
  uint32_t c32 = (uint32_t)c;
  for (; n > 0; p++, n--) c32 = _mm_crc32_u8(c32, *p);
  return ~c32;
}

struct sha256 {
  EVP_MD_CTX *ctx;
};

// Looking the algorithm up takes longer than hashing a frame, so it is done once.
static EVP_MD *algorithm;
static void fetch_algorithm(void) {
  algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
  CHECK(algorithm);
}

struct sha256 *sha256_new(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  CHECK(pthread_once(&once, fetch_algorithm) == 0);
  struct sha256 *s = xmalloc(sizeof *s);
  s->ctx = EVP_MD_CTX_new();
  if (!s->ctx) out_of_memory(sizeof *s);
  sha256_begin(s);
  return s;
}

void sha256_free(struct sha256 *s) {
  if (!s) return;
  EVP_MD_CTX_free(s->ctx);
  free(s);
}

void sha256_begin(struct sha256 *s) { CHECK(EVP_DigestInit_ex2(s->ctx, algorithm, NULL) == 1); }

void sha256_add(struct sha256 *s, struct bytes b) { CHECK(EVP_DigestUpdate(s->ctx, start(b), b.n) == 1); }

void sha256_end(struct sha256 *s, uint8_t out[SHA256_SIZE]) {
  unsigned n = 0;
  CHECK(EVP_DigestFinal_ex(s->ctx, out, &n) == 1 && n == SHA256_SIZE);
}

void sha256_of(struct bytes b, uint8_t out[SHA256_SIZE]) {
  struct sha256 *s = sha256_new();
  sha256_add(s, b);
  sha256_end(s, out);
  sha256_free(s);
}

void hex_encode(struct bytes b, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < b.n; i++) {
    *out++ = digits[b.p[i] >> 4];
    *out++ = digits[b.p[i] & 15];
  }
  *out = '\0';
}

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int hex_decode(struct bytes text, uint8_t *out, size_t n) {
  if (text.n % 2 != 0 || text.n / 2 != n) return ITD_EINVAL;
  for (size_t i = 0; i < text.n; i++)
    if (hex_digit(text.p[i]) < 0) return ITD_EINVAL;
  for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(hex_digit(text.p[2 * i]) << 4 | hex_digit(text.p[2 * i + 1]));
  return 0;
}

void random_bytes(void *out, size_t n) {
  uint8_t *p = out;
  while (n > 0) {
    ssize_t got = getrandom(p, n, 0);
    CHECK(got > 0 || errno == EINTR);
    if (got > 0) p += got, n -= (size_t)got;
  }
}

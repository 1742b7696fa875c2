// AEAD on libsodium. Nonces are random: a counter would repeat when a backup is restored and goes on under the same
// keys.
#include "store/seal.h"

#include <sodium.h>

#include "base/check.h"
#include "base/hash.h"

enum { SEAL_AES = 1, SEAL_XCHACHA = 2 };
_Static_assert(crypto_aead_aes256gcm_KEYBYTES == LEAD_KEY_SIZE, "one key size");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == LEAD_KEY_SIZE, "one key size");

void seal_init(struct seal *seal) {
  CHECK(sodium_init() >= 0);
  *seal = (struct seal){.has_aes = crypto_aead_aes256gcm_is_available()};
}

static void draw_nonce(struct seal *seal, uint8_t *out, size_t n) {
  if (seal->left < n) {
    random_bytes(seal->pool, sizeof seal->pool); // one call of the kernel for many nonces
    seal->left = sizeof seal->pool;
  }
  seal->left -= n;
  memcpy(out, seal->pool + seal->left, n);
}

static size_t nonce_size(uint8_t algorithm) {
  return algorithm == SEAL_AES ? crypto_aead_aes256gcm_NPUBBYTES : crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
}

void seal_put(struct seal *seal, const uint8_t key[LEAD_KEY_SIZE], struct lead_id lead, struct bytes secret,
              struct buf *out) {
  uint8_t algorithm = seal->has_aes ? SEAL_AES : SEAL_XCHACHA;
  size_t nonce = nonce_size(algorithm);
  uint8_t *p = buf_reserve(out, 1 + nonce + secret.n + crypto_aead_aes256gcm_ABYTES);
  unsigned long long n;
  p[0] = algorithm;
  draw_nonce(seal, p + 1, nonce);
  if (algorithm == SEAL_AES)
    crypto_aead_aes256gcm_encrypt(p + 1 + nonce, &n, secret.p, secret.n, lead.b, sizeof lead.b, NULL, p + 1, key);
  else
    crypto_aead_xchacha20poly1305_ietf_encrypt(p + 1 + nonce, &n, secret.p, secret.n, lead.b, sizeof lead.b, NULL,
                                               p + 1, key);
  out->n += 1 + nonce + (size_t)n;
}

int seal_open(const struct seal *seal, const uint8_t key[LEAD_KEY_SIZE], struct lead_id lead, struct bytes sealed,
              struct buf *out, struct error *err) {
  if (!sealed.n || (sealed.p[0] != SEAL_AES && sealed.p[0] != SEAL_XCHACHA))
    return error_set(err, ITD_ECORRUPT, "sealed bytes name no algorithm");
  uint8_t algorithm = sealed.p[0];
  if (algorithm == SEAL_AES && !seal->has_aes)
    return error_set(err, ITD_EVERSION, "sealed with AES-256-GCM, which needs a processor with AES instructions");
  size_t nonce = nonce_size(algorithm);
  if (sealed.n < 1 + nonce + crypto_aead_aes256gcm_ABYTES) return error_set(err, ITD_ECORRUPT, "sealed bytes are cut");
  struct bytes body = bytes_of(sealed.p + 1 + nonce, sealed.n - 1 - nonce);
  uint8_t *p = buf_reserve(out, body.n);
  unsigned long long n;
  int bad = algorithm == SEAL_AES
                ? crypto_aead_aes256gcm_decrypt(p, &n, NULL, body.p, body.n, lead.b, sizeof lead.b, sealed.p + 1, key)
                : crypto_aead_xchacha20poly1305_ietf_decrypt(p, &n, NULL, body.p, body.n, lead.b, sizeof lead.b,
                                                             sealed.p + 1, key);
  if (bad) return error_set(err, ITD_ECORRUPT, "sealed bytes do not open: changed, or of another lead");
  out->n += (size_t)n;
  return 0;
}

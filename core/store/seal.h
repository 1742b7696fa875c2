// Sealing personal bytes under a lead's key (AEAD, libsodium). One thread a `seal`: it keeps a pool of random bytes for
// nonces.
//
// Sealed: algorithm u8, nonce, ciphertext with tag. 1: AES-256-GCM (nonce 12), where the machine has AES; 2:
// XChaCha20-Poly1305 (nonce 24). The lead's id is bound in, so that sealed bytes do not open under another lead even
// with the same key.
#pragma once
#include "store/vault.h"

struct seal {
  uint8_t pool[1024];
  size_t left;
  bool has_aes;
};
void seal_init(struct seal *seal); // any number of times, any thread
void seal_put(struct seal *seal, const uint8_t key[LEAD_KEY_SIZE], struct lead_id lead, struct bytes secret,
              struct buf *out);
// Appends the secret. ITD_ECORRUPT: cut, changed, or of another lead or key. ITD_EVERSION: an algorithm that this
// machine lacks.
int seal_open(const struct seal *seal, const uint8_t key[LEAD_KEY_SIZE], struct lead_id lead, struct bytes sealed,
              struct buf *out, struct error *err) ITD_MUST_USE;

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Secrets at rest: AES-256-GCM under a key in a file of mode 0600, bound to what they are the secret of.
 *
 * Context: any thread. Memory: heap. Source: NIST SP 800-38D, by OpenSSL.
 */
#pragma once

#include "base/defs.h"

struct secrets;

/**
 * Read the key, or make one.
 *
 * @param may_create  false: there are secrets already, so a missing key is lost
 * @param[out] reterr  [reterr_size] what is wrong and the remedy
 * @return 0; -ENOENT lost; ERR_MALFORMED no key; -errno
 */
NODISCARD int secrets_open(const char *path, bool may_create, struct secrets **ret_secrets,
			   char *reterr, size_t reterr_size);
/** NULL is accepted. */
void secrets_close(struct secrets *secrets);
DEFINE_CLEANUP(struct secrets, secrets_close);

/** @param label  what it is the secret of. @param[out] ret_bytes  caller frees. @return 0; -ENOMEM; -EIO */
NODISCARD int secrets_seal(const struct secrets *secrets, const char *label, const char *text,
			   uint8_t **ret_bytes, size_t *ret_size);
/** @param[out] ret_text  caller frees. @return 0; ERR_CORRUPT another key, another label, or damaged; -ENOMEM */
NODISCARD int secrets_unseal(const struct secrets *secrets, const char *label, const uint8_t *bytes,
			     size_t size, char **ret_text);

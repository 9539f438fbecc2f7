/* SPDX-License-Identifier: GPL-2.0-or-later
 * Named secrets out of the secret directories, read anew in each pass (a rotated secret is a new
 * value), with a digest under a key of this state directory that may enter hashes and state. Values
 * are wiped when they are replaced; nothing here logs or prints one. On the loop: small files.
 * Layer: io.
 */
#pragma once
#include "reconcile/base/err.h"
#include "reconcile/core/desired.h"

struct sl_secrets;
/* `dirs` are searched in order, then $CREDENTIALS_DIRECTORY and /run/secrets; `key` is for digests
 * (the secret "digest-key" of sl_state_secret). */
struct sl_secrets *sl_secrets_new(char *const *dirs, size_t count, const char *key);
void sl_secrets_free(struct sl_secrets *secrets);
/* name, or name/key for a directory of keys. Texts live until the secret changes or is swept. */
struct sl_secret_seen sl_secrets_look(struct sl_secrets *secrets, const char *name,
                                      const char *key);
void sl_secrets_sweep(struct sl_secrets *secrets); /* forgets what was not looked at since */
/* Replaces every value known, raw, percent-encoded and base64, in the text by ***. */
void sl_secrets_scrub(const struct sl_secrets *secrets, char *text);

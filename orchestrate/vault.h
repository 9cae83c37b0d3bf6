/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Variables and connections: in memory as they are, in the store encrypted, in logs masked.
 *
 * Secret are passwords of connections, fields of their `extra` and variables whose name has secret, password,
 * passwd, token or key in it.
 *
 * Context: control's loop. Memory: heap.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/store.h"

struct vault;

/** A vault whose key is lost or wrong opens all the same, empty, and tells vault_error(). @return 0; -ENOMEM */
NODISCARD int vault_open(struct store *store, const char *key_path, struct vault **ret_vault);
/** NULL is accepted. */
void vault_close(struct vault *vault);
DEFINE_CLEANUP(struct vault, vault_close);

/** @return why nothing can be read or set; NULL: it can */
const char *vault_error(const struct vault *vault);

/** Objects by name: text of variables; objects of connections. Borrowed. */
const json_t *vault_variables(const struct vault *vault);
const json_t *vault_connections(const struct vault *vault);
/** @param value  NULL: delete. @return 0; -ENOENT nothing to delete; -EACCES see vault_error(); -ENOMEM */
NODISCARD int vault_set_variable(struct vault *vault, const char *name, const char *value);
/** @param connection  object of conn_type, host, port, login, password, schema, extra; borrowed; NULL: delete */
NODISCARD int vault_set_connection(struct vault *vault, const char *name, json_t *connection);

/** @return array of all secrets, borrowed until the next change */
const json_t *vault_masks(const struct vault *vault);
/** @return whether a value of this name is a secret */
bool vault_is_secret(const char *name);

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/prng.h"

#define KEY_SIZE   32
#define NONCE_SIZE 12
#define TAG_SIZE   16

/* A sealed secret: nonce, tag, ciphertext. */

struct secrets {
	uint8_t key[KEY_SIZE];
};

static int make_key(const char *path, struct secrets *secrets)
{
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error = 0;

	if (file < 0)
		return -errno;
	prng_secure(secrets->key, KEY_SIZE);
	if (write(file, secrets->key, KEY_SIZE) != KEY_SIZE || fsync(file) != 0)
		error = -EIO;
	(void)close(file);
	if (error != 0)
		(void)unlink(path);
	return error;
}

static int read_key(const char *path, struct secrets *secrets)
{
	uint8_t bytes[KEY_SIZE + 1];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (file < 0)
		return -errno;
	size = read(file, bytes, sizeof(bytes));
	(void)close(file);
	if (size != KEY_SIZE)
		return size < 0 ? -EIO : ERR_MALFORMED;
	memcpy(secrets->key, bytes, KEY_SIZE);
	return 0;
}

int secrets_open(const char *path, bool may_create, struct secrets **ret_secrets, char *reterr,
		 size_t reterr_size)
{
	CLEANUP(secrets_closep) struct secrets *secrets = calloc(1, sizeof(*secrets));
	int error;

	if (secrets == NULL)
		return -ENOMEM;
	error = read_key(path, secrets);
	if (error == -ENOENT && may_create)
		error = make_key(path, secrets);
	if (error == -ENOENT)
		(void)snprintf(reterr, reterr_size,
			       "the key %s is lost: bring it back, or delete the variables and "
			       "connections and set them again",
			       path);
	else if (error != 0)
		(void)snprintf(reterr, reterr_size, "the key %s cannot be used: %s", path,
			       err_str(error));
	if (error == 0)
		*ret_secrets = TAKE_PTR(secrets);
	return error;
}

void secrets_close(struct secrets *secrets)
{
	if (secrets == NULL)
		return;
	OPENSSL_cleanse(secrets->key, KEY_SIZE);
	free(secrets);
}

static void context_free(EVP_CIPHER_CTX **context)
{
	EVP_CIPHER_CTX_free(*context);
}

int secrets_seal(const struct secrets *secrets, const char *label, const char *text,
		 uint8_t **ret_bytes, size_t *ret_size)
{
	CLEANUP(context_free) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int size = (int)strlen(text), written = 0, last = 0;
	uint8_t *bytes = malloc(NONCE_SIZE + TAG_SIZE + (size_t)size);
	uint8_t *body = bytes + NONCE_SIZE + TAG_SIZE;

	if (context == NULL || bytes == NULL) {
		free(bytes);
		return -ENOMEM;
	}
	prng_secure(bytes, NONCE_SIZE);
	if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, secrets->key, bytes) != 1 ||
	    EVP_EncryptUpdate(context, NULL, &written, (const uint8_t *)label,
			      (int)strlen(label)) != 1 ||
	    EVP_EncryptUpdate(context, body, &written, (const uint8_t *)text, size) != 1 ||
	    EVP_EncryptFinal_ex(context, body + written, &last) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, bytes + NONCE_SIZE) != 1) {
		free(bytes);
		return -EIO;
	}
	*ret_bytes = bytes;
	*ret_size = NONCE_SIZE + TAG_SIZE + (size_t)size;
	return 0;
}

int secrets_unseal(const struct secrets *secrets, const char *label, const uint8_t *bytes,
		   size_t size, char **ret_text)
{
	CLEANUP(context_free) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_SIZE];
	int written = 0, last = 0;
	char *text;

	if (size < NONCE_SIZE + TAG_SIZE)
		return ERR_CORRUPT;
	size -= NONCE_SIZE + TAG_SIZE;
	text = malloc(size + 1);
	if (context == NULL || text == NULL) {
		free(text);
		return -ENOMEM;
	}
	memcpy(tag, bytes + NONCE_SIZE, TAG_SIZE);
	if (EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, secrets->key, bytes) != 1 ||
	    EVP_DecryptUpdate(context, NULL, &written, (const uint8_t *)label,
			      (int)strlen(label)) != 1 ||
	    EVP_DecryptUpdate(context, (uint8_t *)text, &written, bytes + NONCE_SIZE + TAG_SIZE,
			      (int)size) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) != 1 ||
	    EVP_DecryptFinal_ex(context, (uint8_t *)text + written, &last) != 1) {
		free(text);
		return ERR_CORRUPT;
	}
	text[size] = '\0';
	*ret_text = text;
	return 0;
}

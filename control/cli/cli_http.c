/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

#define REPLY_SIZE_MAX (64U * 1024 * 1024)

struct reply {
	char *bytes;
	size_t size;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
	struct reply *reply = ctx;
	char *grown;

	size *= count;
	if (size > REPLY_SIZE_MAX - reply->size)
		return 0;
	grown = realloc(reply->bytes, reply->size + size + 1);
	if (grown == NULL)
		return 0;
	memcpy(grown + reply->size, bytes, size);
	reply->bytes = grown;
	reply->size += size;
	grown[reply->size] = '\0';
	return size;
}

/** Turn an HTTP status into an exit code, with the server's own sentence on stderr. */
static int judge(long status, const json_t *reply)
{
	const json_t *error;
	size_t index;

	if (status >= 200 && status < 300)
		return CLI_OK;
	(void)fprintf(stderr, "millrace: %s\n",
		      *cli_text(reply, "error") != '\0' ? cli_text(reply, "error")
							: "the box answered with an error");
	json_array_foreach(json_object_get(reply, "errors"), index, error)
	{
		const char *hint = cli_text(error, "hint");

		(void)fprintf(stderr, "%s:%lld:%lld: %s%s%s%s\n", cli_text(error, "file"),
			      (long long)cli_integer(error, "line"),
			      (long long)cli_integer(error, "column"), cli_text(error, "message"),
			      *hint != '\0' ? " (" : "", hint, *hint != '\0' ? ")" : "");
	}
	return status == 404 ? CLI_NOT_FOUND : CLI_FAILED;
}

int cli_call(const struct cli *cli, const char *method, const char *path, const json_t *body,
	     json_t **ret_reply)
{
	struct reply reply = { NULL, 0 };
	char url[16 * CONFIG_TEXT_MAX], token[CONFIG_TEXT_MAX + 32];
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	json_t *parsed = NULL;
	int result = CLI_FAILED;
	long status = 0;

	if (curl == NULL)
		goto out;
	(void)snprintf(url, sizeof(url), "http://%s:%d%s", cli->config.http_address,
		       (int)cli->config.http_port, path);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
	if (cli->config.http_token[0] != '\0') {
		(void)snprintf(token, sizeof(token), "Authorization: Bearer %s",
			       cli->config.http_token);
		headers = curl_slist_append(headers, token);
	}
	if (text != NULL) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	}
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl_easy_perform(curl);
	if (code != CURLE_OK) {
		(void)fprintf(stderr,
			      "millrace: no box answers at %s:%d (%s); is `millrace up` running?\n",
			      cli->config.http_address, (int)cli->config.http_port,
			      curl_easy_strerror(code));
		result = CLI_UNREACHABLE;
		goto out;
	}
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (reply.size > 0)
		parsed = json_loadb(reply.bytes, reply.size, 0, NULL);
	result = judge(status, parsed);
	if (result == CLI_OK)
		*ret_reply = json_incref(parsed);
out:
	json_decref(parsed);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(reply.bytes);
	free(text);
	return result;
}

const char *cli_escape(const char *name, char *ret, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t at = 0;

	for (; *name != '\0' && at + 4 < size; name++) {
		unsigned char byte = (unsigned char)*name;

		if (isalnum(byte) || strchr("-._~", byte) != NULL) {
			ret[at++] = (char)byte;
		} else {
			ret[at++] = '%';
			ret[at++] = digits[byte >> 4];
			ret[at++] = digits[byte & 15];
		}
	}
	ret[at] = '\0';
	return ret;
}

void cli_print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	(void)putchar('\n');
}

int64_t cli_integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

const char *cli_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

const char *cli_bytes(int64_t bytes, char *ret, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000.0 && unit + 1 < ARRAY_COUNT(units)) {
		value /= 1000.0;
		unit++;
	}
	(void)snprintf(ret, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return ret;
}

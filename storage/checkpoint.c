/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/err.h"
#include "storage/segfile.h"

#define LINE_SIZE_MAX (CHECKPOINT_TOPIC_MAX + 32) /* topic, two numbers, blanks */
#define FILE_SIZE_MAX ((CHECKPOINT_ENTRIES_MAX + 2) * (size_t)LINE_SIZE_MAX)

int checkpoint_save(int log_dir_fd, const char *name, const struct checkpoint_entry *entries,
		    uint32_t count)
{
	size_t capacity = (count + (size_t)1) * LINE_SIZE_MAX;
	char *text = NULL;
	size_t size;
	int error;

	if (count > CHECKPOINT_ENTRIES_MAX)
		return ERR_TOO_LARGE;
	text = malloc(capacity);
	if (text == NULL)
		return -ENOMEM;
	size = (size_t)snprintf(text, capacity, "0\n%u\n", count);
	for (uint32_t i = 0; i < count; i++) {
		CHECK(strnlen(entries[i].topic, CHECKPOINT_TOPIC_MAX) < CHECKPOINT_TOPIC_MAX);
		size += (size_t)snprintf(text + size, capacity - size, "%s %u %lld\n",
					 entries[i].topic, entries[i].partition,
					 (long long)entries[i].offset);
		CHECK(size < capacity);
	}
	error = segfile_replace(log_dir_fd, name, text, size);
	free(text);
	return error;
}

/* ---- loading ---- */

/* Take the next line off `*at`, cutting it there. @return NULL at the end */
static char *next_line(char **at)
{
	char *line = *at;
	char *end;

	if (*line == '\0')
		return NULL;
	end = strchr(line, '\n');
	if (end != NULL)
		*end++ = '\0';
	else
		end = line + strlen(line);
	*at = end;
	return line;
}

/* A whole line that is one decimal number in [0, max]. */
static int parse_number(const char *text, int64_t max, int64_t *ret_number)
{
	char *end;
	long long number;

	if (text == NULL || *text < '0' || *text > '9')
		return ERR_MALFORMED;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || number > max)
		return ERR_MALFORMED;
	*ret_number = number;
	return 0;
}

static int parse_entry(char *line, struct checkpoint_entry *ret_entry)
{
	char *partition = line != NULL ? strchr(line, ' ') : NULL;
	char *offset = partition != NULL ? strchr(partition + 1, ' ') : NULL;
	int64_t number;
	size_t size;

	if (offset == NULL)
		return ERR_MALFORMED;
	size = (size_t)(partition - line);
	*partition++ = '\0';
	*offset++ = '\0';
	if (size == 0 || size >= CHECKPOINT_TOPIC_MAX)
		return ERR_MALFORMED;
	if (parse_number(partition, INT32_MAX, &number) != 0 ||
	    parse_number(offset, INT64_MAX, &ret_entry->offset) != 0)
		return ERR_MALFORMED;
	ret_entry->partition = (uint32_t)number;
	memset(ret_entry->topic, 0, sizeof(ret_entry->topic));
	memcpy(ret_entry->topic, line, size);
	return 0;
}

static int compare_entries(const void *left, const void *right)
{
	const struct checkpoint_entry *a = left;
	const struct checkpoint_entry *b = right;
	int order = strcmp(a->topic, b->topic);

	if (order != 0)
		return order;
	return a->partition < b->partition ? -1 : a->partition > b->partition;
}

static int parse_text(char *text, struct checkpoint **ret_checkpoint)
{
	char *at = text;
	struct checkpoint *checkpoint;
	int64_t version;
	int64_t count;

	if (parse_number(next_line(&at), INT32_MAX, &version) != 0)
		return ERR_MALFORMED;
	if (version != 0)
		return ERR_UNSUPPORTED;
	if (parse_number(next_line(&at), INT32_MAX, &count) != 0)
		return ERR_MALFORMED;
	if (count > CHECKPOINT_ENTRIES_MAX)
		return ERR_TOO_LARGE;
	checkpoint = malloc(sizeof(*checkpoint) + (size_t)count * sizeof(checkpoint->entries[0]));
	if (checkpoint == NULL)
		return -ENOMEM;
	checkpoint->count = (uint32_t)count;
	for (uint32_t i = 0; i < checkpoint->count; i++) {
		if (parse_entry(next_line(&at), &checkpoint->entries[i]) != 0) {
			free(checkpoint);
			return ERR_MALFORMED;
		}
	}
	if (*at != '\0') {
		free(checkpoint);
		return ERR_MALFORMED;
	}
	qsort(checkpoint->entries, checkpoint->count, sizeof(checkpoint->entries[0]),
	      compare_entries);
	*ret_checkpoint = checkpoint;
	return 0;
}

int checkpoint_load(int log_dir_fd, const char *name, struct checkpoint **ret_checkpoint)
{
	struct stat st;
	char *text;
	int64_t size;
	int error;

	if (fstatat(log_dir_fd, name, &st, 0) < 0)
		return -errno;
	if ((uint64_t)st.st_size > FILE_SIZE_MAX)
		return ERR_TOO_LARGE;
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	size = segfile_load(log_dir_fd, name, text, (size_t)st.st_size + 1);
	if (size < 0)
		error = (int)size;
	else if (memchr(text, '\0', (size_t)size) != NULL)
		error = ERR_MALFORMED;
	else
		error = parse_text(text, ret_checkpoint);
	free(text);
	return error;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
	free(checkpoint);
}

int64_t checkpoint_find(const struct checkpoint *checkpoint, const char *topic, uint32_t partition,
			int64_t missing)
{
	struct checkpoint_entry key = { .partition = partition };
	const struct checkpoint_entry *found;

	if (checkpoint == NULL || strlen(topic) >= sizeof(key.topic))
		return missing;
	memcpy(key.topic, topic, strlen(topic));
	found = bsearch(&key, checkpoint->entries, checkpoint->count, sizeof(key), compare_entries);
	return found != NULL ? found->offset : missing;
}

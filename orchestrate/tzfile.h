/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Time zones from TZif files (RFC 8536, version 2 and later, with the POSIX footer for the time after the
 * last transition).
 *
 * Context: any thread. Memory: heap at load, read-only afterwards. Limits: TZFILE_SIZE_MAX a file.
 */
#pragma once

#include "base/defs.h"

#define TZFILE_SIZE_MAX (256U << 10)
#define TZFILE_NAME_MAX 64

struct tzfile;

/**
 * @param name  "Europe/Amsterdam"; NULL, "" and "UTC": UTC, for which no file is needed
 * @return 0; -ENOENT no such zone; ERR_MALFORMED; -errno
 */
NODISCARD int tzfile_load(const char *name, struct tzfile **ret_zone);
/** The same from a file's bytes. */
NODISCARD int tzfile_parse(const void *bytes, size_t size, struct tzfile **ret_zone);
/** NULL is accepted. */
void tzfile_free(struct tzfile *zone);
DEFINE_CLEANUP(struct tzfile, tzfile_free);

/** @return offset from UTC at an instant (seconds since 1970) in seconds, east positive */
int32_t tzfile_offset(const struct tzfile *zone, int64_t utc_s);
/**
 * The instant of a local time (seconds since 1970 as if local were UTC). A local time that occurs twice is
 * its second instance if `is_second`, else its first; one that does not occur is as far behind the
 * gap as it is inside it (02:30 is 03:30).
 */
int64_t tzfile_to_utc(const struct tzfile *zone, int64_t local_s, bool is_second);

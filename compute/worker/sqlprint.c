/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/sqlprint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 60  /* wider columns do not push the others away */
#define TEXT_MAX 400 /* of a cell that is shown */

/** Cells of a chunk of rows. */
struct grid {
	uint32_t columns, rows;
	char **cells;      /* [rows * columns] NULL: null */
	uint32_t *widths;  /* [columns] */
	bool *are_numbers; /* [columns] */
	bool has_widths;
};

/** Characters, not bytes; wide ones count as one. */
static uint32_t width_of(const char *text)
{
	uint32_t width = 0;

	for (; *text != '\0'; text++)
		width += ((uint8_t)*text & 0xc0) != 0x80;
	return width;
}

static char *cell_text(const char *text, size_t size)
{
	const size_t shown = MIN(size, (size_t)TEXT_MAX);
	char *cell = malloc(shown + sizeof("..."));
	size_t end = shown;

	if (cell == NULL)
		return NULL;
	memcpy(cell, text, shown);
	/* Not in the middle of a character. */
	while (shown < size && end > 0 && ((uint8_t)text[end] & 0xc0) == 0x80)
		end--;
	for (size_t i = 0; i < end; i++) {
		if ((uint8_t)cell[i] < ' ' || cell[i] == 0x7f)
			cell[i] = ' ';
	}
	memcpy(cell + end, shown < size ? "..." : "", shown < size ? 4 : 1);
	return cell;
}

static bool grid_open(struct grid *grid, uint32_t columns, uint32_t rows_max)
{
	*grid = (struct grid){ .columns = columns };
	grid->cells = calloc((size_t)columns * rows_max + 1, sizeof(*grid->cells));
	grid->widths = calloc(columns + 1, sizeof(*grid->widths));
	grid->are_numbers = calloc(columns + 1, sizeof(*grid->are_numbers));
	return grid->cells != NULL && grid->widths != NULL && grid->are_numbers != NULL;
}

static void grid_clear(struct grid *grid)
{
	for (size_t i = 0; i < (size_t)grid->rows * grid->columns; i++)
		free(grid->cells[i]);
	grid->rows = 0;
}

static void grid_close(struct grid *grid)
{
	if (grid->cells != NULL)
		grid_clear(grid);
	free(grid->cells);
	free(grid->widths);
	free(grid->are_numbers);
}

static void print_cell(FILE *out, const struct grid *grid, uint32_t column, const char *text)
{
	const uint32_t width = width_of(text), wanted = grid->widths[column];
	const int pad = width < wanted ? (int)(wanted - width) : 0;
	const bool is_last = column + 1 == grid->columns;

	if (column > 0)
		(void)fputs(" | ", out);
	if (grid->are_numbers[column])
		(void)fprintf(out, "%*s%s", pad, "", text);
	else
		(void)fprintf(out, "%s%*s", text, is_last ? 0 : pad, "");
}

static void print_heading(FILE *out, const struct grid *grid, const char *const *names)
{
	for (uint32_t i = 0; i < grid->columns; i++)
		print_cell(out, grid, i, names[i]);
	(void)fputc('\n', out);
	for (uint32_t i = 0; i < grid->columns; i++) {
		if (i > 0)
			(void)fputs("-+-", out);
		for (uint32_t j = 0; j < grid->widths[i]; j++)
			(void)fputc('-', out);
	}
	(void)fputc('\n', out);
}

/** Print the rows that are there; the first time widths are found and names printed before. */
static void print_rows(FILE *out, struct grid *grid, const char *const *names)
{
	const size_t count = (size_t)grid->rows * grid->columns;

	for (uint32_t i = 0; !grid->has_widths && i < grid->columns; i++) {
		grid->widths[i] = width_of(names[i]);
		for (size_t cell = i; cell < count; cell += grid->columns)
			if (grid->cells[cell] != NULL)
				grid->widths[i] =
					MAX(grid->widths[i],
					    MIN(width_of(grid->cells[cell]), (uint32_t)CELL_MAX));
	}
	if (!grid->has_widths)
		print_heading(out, grid, names);
	grid->has_widths = true;
	for (size_t cell = 0; cell < count; cell++) {
		const uint32_t column = (uint32_t)(cell % grid->columns);

		print_cell(out, grid, column, grid->cells[cell] != NULL ? grid->cells[cell] : "");
		if (column + 1 == grid->columns)
			(void)fputc('\n', out);
	}
	grid_clear(grid);
}

static bool is_number(const char *type)
{
	static const char *const numbers[] = { "INT",    "BIGINT", "HUGEINT",
					       "DOUBLE", "FLOAT",  "DECIMAL" };

	if (strchr(type, '[') != NULL || strncmp(type, "INTERVAL", 8) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		const char *at = strstr(type, numbers[i]);

		if (at != NULL && at - type <= 5 && strchr(type, ' ') == NULL)
			return true;
	}
	return false;
}

static void take_chunk(struct grid *grid, struct duck_result *result, uint32_t rows)
{
	for (uint32_t row = 0; row < rows; row++) {
		for (uint32_t column = 0; column < grid->columns; column++) {
			size_t size;
			const char *text = duck_result_text(result, column, row, &size);

			grid->cells[(size_t)row * grid->columns + column] =
				text != NULL ? cell_text(text, size) : NULL;
		}
	}
	grid->rows = rows;
}

int64_t sqlprint_result(FILE *out, struct duck_result *result, int64_t limit)
{
	const uint32_t columns = duck_result_columns(result);
	const char **names = calloc(columns + 1, sizeof(*names));
	struct grid grid = { 0 };
	int64_t printed = 0;
	uint32_t rows = 0;

	if (columns == 0 || names == NULL || !grid_open(&grid, columns, COLUMN_ROWS)) {
		free(names);
		grid_close(&grid);
		return 0;
	}
	for (uint32_t i = 0; i < columns; i++) {
		names[i] = duck_result_name(result, i);
		grid.are_numbers[i] = is_number(duck_result_type(result, i));
	}
	do {
		rows = duck_result_chunk(result);
		take_chunk(&grid, result, (uint32_t)MIN((int64_t)rows, limit - printed));
		printed += grid.rows;
		print_rows(out, &grid, names);
	} while (rows > 0 && printed < limit);
	(void)fprintf(out, "(%" PRId64 " row%s%s)\n", printed, printed == 1 ? "" : "s",
		      rows > 0 && duck_result_chunk(result) > 0
			      ? " and more: --format csv has them all"
			      : "");
	free(names);
	grid_close(&grid);
	return printed;
}

void sqlprint_plan(FILE *out, struct duck_result *result)
{
	const uint32_t columns = duck_result_columns(result);
	uint32_t rows;

	while ((rows = duck_result_chunk(result)) > 0) {
		for (uint32_t row = 0; row < rows; row++) {
			size_t size;
			const char *text = duck_result_text(result, columns - 1, row, &size);

			if (text != NULL)
				(void)fprintf(out, "%.*s\n", (int)size, text);
		}
	}
}

static char *value_text(const json_t *value)
{
	char number[32];

	if (json_is_string(value))
		return cell_text(json_string_value(value), json_string_length(value));
	if (json_is_integer(value)) {
		(void)snprintf(number, sizeof(number), "%" PRId64,
			       (int64_t)json_integer_value(value));
		return strdup(number);
	}
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_object(value) || json_is_array(value))
		return json_dumps(value, JSON_COMPACT);
	return NULL;
}

void sqlprint_objects(FILE *out, const json_t *objects, const char *const *names, uint32_t count)
{
	const uint32_t rows = (uint32_t)json_array_size(objects);
	struct grid grid;

	if (grid_open(&grid, count, rows)) {
		for (uint32_t row = 0; row < rows; row++) {
			const json_t *object = json_array_get(objects, row);

			for (uint32_t i = 0; i < count; i++) {
				const json_t *value = json_object_get(object, names[i]);

				grid.are_numbers[i] |= json_is_integer(value);
				grid.cells[(size_t)row * count + i] = value_text(value);
			}
		}
		grid.rows = rows;
		print_rows(out, &grid, names);
	}
	grid_close(&grid);
}

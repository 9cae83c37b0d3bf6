/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/instant.h"
#include "orchestrate/template.h"

static void put(json_t *object, const char *name, json_t *value)
{
	/* Out of memory it is missing, and the template says so. */
	(void)json_object_set_new(object, name, value != NULL ? value : json_null());
}

/** As Airflow writes instants: "2026-01-01T00:00:00+00:00", with microseconds when there are any. */
static json_t *iso(int64_t at_us)
{
	char text[INSTANT_TEXT_SIZE];
	bool is_whole = at_us % 1000000 == 0;

	(void)instant_format(at_us, text);
	return json_sprintf("%.*s+00:00", is_whole ? 19 : 26, text);
}

static void put_dates(json_t *names, const struct timetable_slot *slot)
{
	char text[INSTANT_TEXT_SIZE];

	(void)instant_format(slot->logical_us, text);
	put(names, "ds", json_stringn(text, 10));
	put(names, "ds_nodash", json_sprintf("%.4s%.2s%.2s", text, text + 5, text + 8));
	put(names, "ts", iso(slot->logical_us));
	put(names, "ts_nodash",
	    json_sprintf("%.4s%.2s%.2sT%.2s%.2s%.2s", text, text + 5, text + 8, text + 11,
			 text + 14, text + 17));
	put(names, "logical_date", iso(slot->logical_us));
	put(names, "data_interval_start", iso(slot->begin_us));
	put(names, "data_interval_end", iso(slot->end_us));
}

const char *render_run_state(const struct run *run)
{
	for (uint32_t i = 0; i < run->dag->task_count; i++) {
		if (run->tis[i].state == TI_FAILED || run->tis[i].state == TI_UPSTREAM_FAILED)
			return run_state_name(RUN_FAILED);
	}
	return run_state_name(run->is_stopping ? RUN_FAILED : RUN_SUCCESS);
}

static void put_run(json_t *names, const struct run *run)
{
	json_t *xcom = json_object(), *tasks = json_object();

	put(names, "run_id", json_string(run->id));
	put(names, "run",
	    json_pack("{s:s,s:s,s:s}", "id", run->id, "state", render_run_state(run), "type",
		      run->type == RUN_SCHEDULED ? "scheduled" : "manual"));
	for (uint32_t i = 0; i < run->dag->task_count; i++) {
		const struct ti *ti = &run->tis[i];
		const char *task = run->dag->tasks[i].name;

		put(tasks, task, json_pack("{s:s}", "state", ti_state_name(ti->state)));
		if (ti->result != NULL)
			put(xcom, task, json_incref(ti->result));
	}
	put(names, "tasks", tasks);
	put(names, "xcom", xcom);
}

static void put_conf(json_t *names, const struct run *run)
{
	json_t *params = json_copy(run->dag->params);

	if (params != NULL && run->conf != NULL)
		(void)json_object_update(params, run->conf);
	put(names, "params", params);
	put(names, "conf", run->conf != NULL ? json_incref(run->conf) : json_object());
}

static void put_vault(json_t *names, const struct vault *vault)
{
	json_t *variables = (json_t *)(uintptr_t)vault_variables(vault), *json = json_object();
	const char *name;
	json_t *value;

	json_object_foreach(variables, name, value)
	{
		json_t *parsed = json_loads(json_string_value(value), JSON_DECODE_ANY, NULL);

		if (parsed != NULL)
			put(json, name, parsed);
	}
	put(names, "var", json_pack("{s:O,s:o}", "value", variables, "json", json));
	put(names, "conn", json_incref((json_t *)(uintptr_t)vault_connections(vault)));
}

json_t *render_names(const struct ti *ti, const struct vault *vault)
{
	const struct run *run = ti->run;
	json_t *names = json_object();

	if (names == NULL)
		return NULL;
	put_dates(names, &run->slot);
	put_run(names, run);
	put_conf(names, run);
	put_vault(names, vault);
	put(names, "try_number", json_integer(ti->try_number));
	put(names, "dag", json_pack("{s:s}", "id", run->dag->id));
	put(names, "task", json_pack("{s:s}", "id", run->dag->tasks[ti->task].name));
	return names;
}

static bool has_template(const json_t *value)
{
	const char *name;
	json_t *part;
	size_t index;

	if (json_is_string(value))
		return strchr(json_string_value(value), '{') != NULL;
	json_array_foreach(value, index, part)
	{
		if (has_template(part))
			return true;
	}
	json_object_foreach((json_t *)(uintptr_t)value, name, part)
	{
		if (has_template(part))
			return true;
	}
	return false;
}

int render_spec(const struct ti *ti, const struct vault *vault, json_t **ret_spec, char *reterr,
		size_t reterr_size)
{
	json_t *spec = ti->run->dag->tasks[ti->task].spec, *names;
	int error;

	if (!has_template(spec)) {
		*ret_spec = json_incref(spec);
		return 0;
	}
	names = render_names(ti, vault);
	if (names == NULL)
		return -ENOMEM;
	error = template_render_json(spec, names, ret_spec, reterr, reterr_size);
	json_decref(names);
	if (error != 0 && vault_error(vault) != NULL) {
		size_t size = strlen(reterr);

		(void)snprintf(reterr + size, reterr_size - size, " (%s)", vault_error(vault));
	}
	return error;
}

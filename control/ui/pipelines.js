/* SPDX-License-Identifier: Apache-2.0 */
/* The list of pipelines; states and how they look. */
"use strict";

/* Every state has a glyph besides its colour. */
const STATES = {
	success: "\u2713", failed: "\u2715", running: "\u25b8", queued: "\u25cb", scheduled: "\u00b7", skipped: "\u00bb",
	upstream_failed: "\u2298", up_for_retry: "\u21bb", up_for_reschedule: "\u25f7", removed: "\u2013", none: "",
};
const isOver = state => ["success", "failed", "skipped", "upstream_failed", "removed"].includes(state);
const wordOf = state => state === "up_for_reschedule" ? "waiting" : (state || "none").replaceAll("_", " ");

function stateClass(where, state, more) {
	const wanted = `${more} st-${state || "none"}`;
	if (where.className !== wanted)
		where.className = wanted;
}

/* A state in words, with its glyph. */
function sayState(where, state) {
	stateClass(where, state, "state");
	say(where, `${STATES[state || "none"] ?? "?"} ${wordOf(state)}`.trim());
}

function scheduleOf(dag) {
	if (!dag.schedule)
		return "by hand";
	return dag.timezone && dag.timezone !== "UTC" ? `${dag.schedule} ${dag.timezone}` : dag.schedule;
}

function sayNext(where, dag) {
	const at = dag.next_run && dag.next_run.run_after;
	say(where, at ? countdown(at) : dag.is_paused ? "paused" : "-");
	put(where, "title", at ? `${local(at)}, for ${dag.next_run.data_interval_start} to ${dag.next_run.data_interval_end}` : "");
}

/* Runs as bars, the oldest at the left, as high as they took long. */
function showBars(where, dagId, newestFirst) {
	const runs = [...newestFirst].reverse();
	const longest = Math.max(1, ...runs.map(run => between(run.start_date, run.end_date) || 0));
	sync(where, runs, run => run.dag_run_id, () => element("a", {}, element("i", {}), element("b", { "aria-hidden": "true" })), (bar, run) => {
		const took = between(run.start_date, run.end_date);
		const told = `${run.dag_run_id}\n${wordOf(run.state)}, ${took === null ? "not started" : `${local(run.start_date)}, ${brief(took)}`}`;
		stateClass(bar, run.state, "run-bar");
		put(bar, "href", hashOf(["pipelines", dagId], { run: run.dag_run_id }));
		put(bar, "title", told);
		put(bar, "aria-label", told);
		bar.firstChild.style.height = `${(5 + 19 * Math.sqrt((took || 0) / longest)).toFixed(1)}px`;
		say(bar.lastChild, run.state === "success" ? "" : STATES[run.state] || "");
	});
}

/* ---- what can be done with a pipeline ---- */

async function trigger(dagId, body) {
	const run = await call("POST", api("dags", dagId, "runs"), body || {});
	notice(`${dagId}: run ${run.dag_run_id} is made.`, true);
	return run;
}

function pause(dagId, isPaused) {
	return call("PATCH", api("dags", dagId), { is_paused: isPaused });
}

function sayPause(button, dag) {
	say(button, dag.is_paused ? "unpause" : "pause");
	put(button, "title", dag.is_paused ? "let its schedule make runs again" : "its schedule makes no runs until it is unpaused");
	button.isPausing = !dag.is_paused;
}

/* ---- the list ---- */

function makeDagRow(dag) {
	const row = cells(6, [4]), cell = row.children;
	const pauseButton = element("button", { type: "button" });
	const runButton = element("button", { type: "button", class: "main", title: "make a run now" }, "trigger");
	cell[0].append(element("div", {}, element("a", { class: "strong name", href: hashOf(["pipelines", dag.dag_id]) }, dag.dag_id),
		element("span", { class: "tags" })), element("div", { class: "soft small name" }));
	cell[3].append(element("div", { class: "bars" }));
	cell[1].className = cell[2].className = "one-line";
	cell[5].className = "n actions";
	cell[5].append(pauseButton, runButton);
	pauseButton.addEventListener("click", () => act(pauseButton, () => pause(dag.dag_id, pauseButton.isPausing)));
	runButton.addEventListener("click", () => act(runButton, () => trigger(dag.dag_id)));
	return row;
}

function tagsOf(dag) {
	return [...(dag.is_paused ? ["paused"] : []), ...(dag.tags || [])];
}

function showTags(where, dag) {
	sync(where, tagsOf(dag), tag => tag, tag => element("span", { class: "badge" }, tag),
		(badge, tag) => { badge.className = dag.is_paused && tag === "paused" ? "badge warn" : "badge"; });
}

function showScheduler(scheduler) {
	const { worker, due_to_start_us: due } = scheduler;
	say(byId("scheduler"), (worker.connected ? `worker: ${worker.running} of ${worker.slots} slots busy, DuckDB ${worker.duckdb}` :
		"no worker: SQL tasks wait") + (due.count ? ` \u00b7 starts ${micros(due.p50)} after due, 99 % within ${micros(due.p99)}` : ""));
	byId("scheduler").className = worker.connected ? "soft" : "warn";
}

const pipelinesView = {
	section: "view-pipelines", tab: "pipelines", title: () => "pipelines",
	async load() {
		const [list, scheduler] = await Promise.all([get("/api/v1/dags"), get("/api/v1/scheduler")]);
		return { dags: list.dags, scheduler };
	},
	show({ dags, scheduler }) {
		const found = matching(dags, "dag-filter", dag => `${dag.dag_id} ${tagsOf(dag).join(" ")}`);
		const shown = found.slice(0, ROWS_MAX);
		note(byId("dag-note"), shown.length, found.length, dags.length);
		showScheduler(scheduler);
		byId("dags-empty").hidden = dags.length > 0;
		sync(byId("dags"), shown, dag => dag.dag_id, makeDagRow, (row, dag) => {
			const cell = row.children;
			showTags(cell[0].firstChild.lastChild, dag);
			say(cell[0].lastChild, dag.description || "");
			say(cell[1], scheduleOf(dag));
			sayNext(cell[2], dag);
			showBars(cell[3].firstChild, dag.dag_id, dag.last_runs);
			say(cell[4], dag.active_runs ? whole(dag.active_runs) : "-");
			sayPause(cell[5].firstChild, dag);
		});
	},
};
byId("dag-filter").addEventListener("input", () => refresh());

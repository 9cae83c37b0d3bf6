/* SPDX-License-Identifier: Apache-2.0 */
/* One pipeline: the grid of its runs by task, the graph, its files, one run, one attempt and its log. */
"use strict";
const RUNS_SHOWN = 25, LOG_LINES_MAX = 5000, TRIES_SHOWN = 20, LOG_DRAW_MS = 150;

/* ---- grid ---- */

/* Tasks in the order in which they run; then those that only older versions had. */
function tasksOf(dag, runs) {
	const layer = layersOf(dag.tasks);
	const known = dag.tasks.map(task => task.task_id).sort((a, b) => layer.get(a) - layer.get(b));
	const names = new Set(known);
	for (const run of runs)
		run.tasks.forEach(task => names.add(task.task_id));
	return [...names].slice(0, ROWS_MAX);
}

function showCell(cell, dagId, run, name, selected) {
	const task = run.tasks.find(one => one.task_id === name), link = cell.firstChild;
	const state = task ? task.state || "none" : "removed";
	const isSelected = selected.run === run.dag_run_id && selected.task === name;
	const took = task && task.start_date ? `, ${spent(task.start_date, task.end_date)}` : "";
	stateClass(link, state, isSelected ? "cell selected" : "cell");
	say(link, task ? STATES[state] ?? "?" : "");
	link.hidden = !task;
	put(link, "href", hashOf(["pipelines", dagId], { run: run.dag_run_id, task: name, tab: selected.tab }));
	put(link, "title", task ? `${name} in ${run.dag_run_id}\n${wordOf(state)}${took}` +
		(task.try_number > 1 ? `, try ${task.try_number}` : "") + (task.start_date ? `\n${local(task.start_date)}` : "") : "");
	put(link, "aria-label", `${name}, ${run.dag_run_id}: ${wordOf(state)}`);
	cell.className = selected.run === run.dag_run_id ? "chosen" : "";
}

function showGrid(dag, newestFirst, selected) {
	const runs = [...newestFirst].reverse();
	byId("grid-empty").hidden = runs.length > 0;
	byId("grid-table").hidden = runs.length === 0;
	const head = byId("grid-head");
	if (!head.firstChild)
		head.append(element("th", {}), element("td", {}, element("div", { class: "bars wide" })));
	head.lastChild.colSpan = Math.max(1, runs.length);
	showBars(head.lastChild.firstChild, dag.dag_id, newestFirst);
	for (const bar of head.lastChild.firstChild.children)
		bar.classList.toggle("selected", placeOf(bar.getAttribute("href")).query.get("run") === selected.run);
	sync(byId("grid"), tasksOf(dag, runs), name => name, name => element("tr", {}, element("th", { scope: "row", class: "name" }, name)), (row, name) => {
		/* The first column is the name: sync() brings those behind it in line. */
		row.runCells = row.runCells || { get firstChild() { return row.children[1] || null; }, insertBefore: (cell, at) => row.insertBefore(cell, at) };
		sync(row.runCells, runs, run => run.dag_run_id, () => element("td", {}, element("a", {})),
			(cell, run) => showCell(cell, dag.dag_id, run, name, selected));
	});
	if (!byId("legend").firstChild) {
		for (const state of Object.keys(STATES).filter(name => name !== "removed" && name !== "none"))
			byId("legend").append(element("span", {}, element("i", { class: `cell st-${state}` }, STATES[state]), wordOf(state)));
	}
}

/* ---- files ---- */

function showFiles(dag) {
	const where = byId("files");
	if (where.shownVersion === dag.dag_id + dag.version)
		return;
	where.shownVersion = dag.dag_id + dag.version;
	const names = Object.keys(dag.files || {}).sort((a, b) => (b === "pipeline.yaml") - (a === "pipeline.yaml") || (a < b ? -1 : 1));
	where.replaceChildren(...names.map(name => element("section", { class: "card block" },
		element("div", { class: "head" }, element("h2", { class: "mono" }, name)),
		element("pre", { class: "mono code" }, dag.files[name]))),
	element("section", { class: "card block" }, element("div", { class: "head" }, element("h2", {}, "versions"),
		element("span", { class: "soft" }, dag.folder ? `applied from ${dag.folder}` : "")),
	nested(["version", "applied"], [], (dag.versions || []).map(one =>
		[one.version.slice(0, 12) + (one.version === dag.version ? " (this one)" : ""), local(one.applied_at)]))));
}

/* ---- one run ---- */

function makeTaskRow() {
	const row = cells(5, [2]), cell = row.children;
	cell[0].append(element("a", { class: "name strong" }));
	cell[1].append(element("span", {}));
	cell[3].append(element("div", { class: "span" }, element("i", {})));
	cell[3].className = "span-cell";
	cell[4].className = "name words";
	return row;
}

/* Where in the run's time the task's try was. */
function showSpan(where, run, task) {
	const begin = Date.parse(run.start_date || run.queued_at), all = Math.max(1, between(run.start_date || run.queued_at, run.end_date));
	const bar = where.firstChild, from = (Date.parse(task.start_date) - begin) / all;
	stateClass(bar, task.state, "bar-part");
	bar.hidden = !task.start_date;
	bar.style.left = `${(100 * Math.min(0.99, Math.max(0, from))).toFixed(2)}%`;
	bar.style.width = `${(100 * Math.min(1 - Math.max(0, from), Math.max(0.01, between(task.start_date, task.end_date) / all))).toFixed(2)}%`;
	put(where, "title", task.start_date ? `${local(task.start_date)} to ${task.end_date ? local(task.end_date) : "now"}` : "");
}

/* What a task that succeeded has done, when its result tells. */
function doneText(result) {
	if (result && Array.isArray(result.checks))
		return `${whole(result.checks.filter(check => check.passed).length)} of ${whole(result.checks.length)} checks passed`;
	if (result && result.nothing_new)
		return "nothing new to read";
	if (result && Number.isInteger(result.version) && Number.isInteger(result.rows))
		return `wrote ${whole(result.rows)} row${result.rows === 1 ? "" : "s"}, ${bytes(result.bytes)}, as version ${whole(result.version)}` +
			(result.bad ? `; ${whole(result.bad)} bad records` : "");
	return "";
}

/* What was done, message of what failed, reason of what waits. */
function wordsAbout(task) {
	if (task.state === "success")
		return doneText(task.result);
	return (isOver(task.state) ? task.message || task.why : task.why || task.message) || "";
}

/* Of a sensor between its looks the API has the last look's times only. */
const tookText = task => task.state === "up_for_reschedule" ? "-" : spent(task.start_date, task.end_date);

function showRun(dag, run, selected) {
	byId("run-card").hidden = !run;
	if (!run)
		return;
	say(byId("run-id"), run.dag_run_id);
	sayState(byId("run-state"), run.state);
	say(byId("run-facts"), [`${run.run_type}`, run.logical_date && `logical date ${run.logical_date.replace(/\.0+Z/, "Z")}`,
		run.start_date && `began ${local(run.start_date)}`, run.start_date && `${run.end_date ? "took" : "for"} ${spent(run.start_date, run.end_date)}`,
		Object.keys(run.conf || {}).length && `conf ${JSON.stringify(run.conf)}`, run.version !== dag.version && "of an older version"]
		.filter(Boolean).join(" \u00b7 "));
	say(byId("run-note"), run.note || "");
	byId("run-cancel").hidden = isOver(run.state);
	sync(byId("run-tasks"), run.tasks.slice(0, ROWS_MAX), task => task.task_id, makeTaskRow, (row, task) => {
		const cell = row.children;
		row.classList.toggle("chosen", task.task_id === selected.task);
		say(cell[0].firstChild, task.task_id);
		put(cell[0].firstChild, "href", hashOf(["pipelines", dag.dag_id], { run: run.dag_run_id, task: task.task_id, tab: selected.tab }));
		sayState(cell[1].firstChild, task.state);
		say(cell[2], task.try_number ? `${tookText(task)}${task.try_number > 1 ? `, try ${task.try_number} of ${task.max_tries}` : ""}` : "-");
		showSpan(cell[3].firstChild, run, task);
		say(cell[4], cut(wordsAbout(task), 300));
	});
}

/* ---- one attempt and its log ---- */

const log = { key: null, stop: null, offset: 0, hasEnded: false, lines: [], drawing: 0 };

function logLine(line) {
	let said;
	try {
		said = JSON.parse(line);
	} catch {
		said = { event: line };
	}
	const time = said.timestamp ? new Date(said.timestamp).toLocaleTimeString("sv-SE") : "";
	return element("div", { class: `log-line level-${["error", "warning", "warn"].includes(said.level) ? said.level : "info"}` },
		element("span", { class: "soft", title: said.timestamp || "" }, time), element("span", {}, String(said.event ?? line)));
}

/* A long log comes in many pieces: they are drawn a few times a second. */
function addLog(text) {
	log.lines = log.lines.concat(text.split("\n").filter(line => line)).slice(-LOG_LINES_MAX);
	log.drawing = log.drawing || setTimeout(drawLog, LOG_DRAW_MS);
}

function drawLog() {
	const where = byId("log"), isAtEnd = where.scrollHeight - where.scrollTop - where.clientHeight < 30;
	log.drawing = 0;
	where.append(...log.lines.splice(0).map(logLine));
	while (where.children.length > LOG_LINES_MAX)
		where.firstChild.remove();
	if (isAtEnd)
		where.scrollTop = where.scrollHeight;
}

/* Read on until the try has ended; the box answers when there is more. */
async function follow(path, number, signal) {
	while (!signal.aborted) {
		try {
			const answer = await get(`${path}?try=${number}&offset=${log.offset}&wait=20`, { signal, timeout: 40000 });
			if (signal.aborted)
				return;
			addLog(answer.content);
			log.offset = answer.next_offset;
			log.hasEnded = answer.ended;
			say(byId("log-note"), answer.ended ? log.offset ? "" : "nothing was logged" : "following");
			if (answer.ended)
				return;
		} catch (failure) {
			if (signal.aborted)
				return;
			say(byId("log-note"), failure.status ? failure.message : "the box does not answer; trying again");
			if (failure.status) {
				log.hasEnded = true;
				return;
			}
			await new Promise(resolve => setTimeout(resolve, 1000));
		}
	}
}

function unfollow() {
	if (log.stop)
		log.stop.abort();
	clearTimeout(log.drawing);
	Object.assign(log, { key: null, stop: null, offset: 0, hasEnded: false, lines: [], drawing: 0 });
	byId("log").replaceChildren();
	say(byId("log-note"), "");
}

function showLog(dagId, runId, task, number) {
	const key = JSON.stringify([dagId, runId, task.task_id, number]);
	const isStarted = task.try_number > 0;
	if (log.key !== key)
		unfollow();
	/* A try that was not under way may be by now. */
	const isAgain = log.hasEnded && number === task.try_number && ["running", "up_for_reschedule"].includes(task.state);
	if (!isStarted || (log.key === key && !isAgain))
		return;
	log.key = key;
	log.hasEnded = false;
	log.stop = new AbortController();
	follow(api("dags", dagId, "runs", runId, "tasks", task.task_id, "logs"), number, log.stop.signal);
}

function showAttempt(dagId, run, selected) {
	const task = run && run.tasks.find(one => one.task_id === selected.task);
	byId("attempt-card").hidden = !task;
	if (!task) {
		unfollow();
		return;
	}
	const newest = Math.max(1, task.try_number), number = Math.min(newest, Number(selected.try) || newest);
	const first = Math.max(1, newest - TRIES_SHOWN + 1);
	say(byId("attempt-task"), task.task_id);
	sayState(byId("attempt-state"), task.state);
	say(byId("attempt-facts"), [task.queued_at && task.start_date && `waited ${spent(task.queued_at, task.start_date)} in the queue`,
		task.start_date && `began ${local(task.start_date)}`, task.start_date && task.state !== "up_for_reschedule" && `${task.end_date ? "took" : "for"} ${spent(task.start_date, task.end_date)}`,
		`try ${task.try_number} of ${task.max_tries}`, !isOver(task.state) && task.next_at && `next ${countdown(task.next_at)}`]
		.filter(Boolean).join(" \u00b7 "));
	say(byId("attempt-words"), wordsAbout(task));
	byId("attempt-words").className = task.state === "failed" ? "words bad" : "words soft";
	byId("attempt-result").hidden = task.result === null || task.result === undefined;
	say(byId("attempt-result").lastElementChild, JSON.stringify(task.result ?? null, null, 2));
	byId("tries").hidden = newest === 1;
	sync(byId("tries"), Array.from({ length: newest - first + 1 }, (_, i) => first + i), one => one,
		one => element("a", {}, `try ${one}`), (tab, one) => {
			put(tab, "href", hashOf(["pipelines", dagId], { run: run.dag_run_id, task: task.task_id, try: one === newest ? "" : one, tab: selected.tab }));
			put(tab, "aria-current", String(one === number));
		});
	showLog(dagId, run.dag_run_id, task, number);
}

/* ---- the view ---- */

const shownRun = { dag: "", run: "", task: "" }; /* what the buttons are about */

function showPipeline(dag) {
	say(byId("dag-id"), dag.dag_id);
	showTags(byId("dag-tags"), dag);
	say(byId("dag-description"), dag.description || "");
	say(byId("dag-schedule"), scheduleOf(dag));
	sayNext(byId("dag-next"), dag);
	say(byId("dag-counts"), `${whole(dag.task_count)} task${dag.task_count === 1 ? "" : "s"}, ${whole(dag.active_runs)} active run${dag.active_runs === 1 ? "" : "s"}`);
	sayPause(byId("dag-pause"), dag);
}

const pipelineView = {
	section: "view-pipeline", tab: "pipelines", title: place => place.names[1],
	async load(place) {
		const dagId = place.names[1], wanted = place.query.get("run");
		const [dag, list] = await Promise.all([get(api("dags", dagId)), get(`${api("dags", dagId, "runs")}?limit=${RUNS_SHOWN}`)]);
		const runId = wanted || (list.dag_runs.length ? list.dag_runs[0].dag_run_id : null);
		const run = runId ? await get(api("dags", dagId, "runs", runId)) : null;
		return { dag, runs: list.dag_runs, run };
	},
	show({ dag, runs, run }, place) {
		const tab = place.query.get("tab") || "grid";
		const selected = { run: run && run.dag_run_id, task: place.query.get("task"), try: place.query.get("try"), tab: tab === "grid" ? "" : tab };
		const hrefTo = query => hashOf(place.names, { ...Object.fromEntries(place.query), ...query });
		Object.assign(shownRun, { dag: dag.dag_id, run: selected.run, task: selected.task });
		showPipeline(dag);
		for (const link of byId("dag-tabs").children) {
			put(link, "href", hrefTo({ tab: link.dataset.tab === "grid" ? "" : link.dataset.tab }));
			put(link, "aria-current", String(link.dataset.tab === tab));
		}
		byId("grid-card").hidden = tab !== "grid";
		byId("graph-card").hidden = tab !== "graph";
		byId("files").hidden = tab !== "files";
		byId("run-part").hidden = tab === "files";
		if (tab === "graph")
			showGraph(byId("graph"), dag, name => run && run.tasks.find(task => task.task_id === name),
				name => hrefTo({ run: selected.run, task: name, try: "" }), selected.task);
		else if (tab === "files")
			showFiles(dag);
		else
			showGrid(dag, runs, selected);
		showRun(dag, run, selected);
		showAttempt(dag.dag_id, run, selected);
	},
	close() {
		unfollow();
	},
};

byId("dag-pause").addEventListener("click", event => act(event.currentTarget, () => pause(shownRun.dag, byId("dag-pause").isPausing)));
byId("dag-trigger").addEventListener("submit", event => {
	event.preventDefault();
	act(byId("dag-trigger-button"), async () => {
		const conf = byId("trigger-conf").value.trim(), date = byId("trigger-date").value.trim(), body = {};
		if (conf) {
			try {
				body.conf = JSON.parse(conf);
			} catch (failure) {
				throw Object.assign(new Error(`conf is to be a JSON object: ${failure.message}`), { status: 400 });
			}
		}
		if (date)
			body.logical_date = date;
		const run = await trigger(shownRun.dag, body);
		location.hash = hashOf(["pipelines", shownRun.dag], { run: run.dag_run_id, tab: placeOf(location.hash).query.get("tab") });
	});
});

const runPath = () => api("dags", shownRun.dag, "runs", shownRun.run);
async function clear(body) {
	const { cleared } = await call("POST", `${runPath()}/clear`, body);
	notice(`${whole(cleared)} task${cleared === 1 ? " is" : "s are"} to run again.`, true);
}
const subject = () => JSON.stringify(shownRun);
onSure(byId("run-clear"), subject, () => clear({}));
onSure(byId("run-cancel"), subject, () => call("POST", `${runPath()}/cancel`, {}));
onSure(byId("task-clear"), subject, () => clear({ task_id: shownRun.task, downstream: true }));
onSure(byId("task-clear-one"), subject, () => clear({ task_id: shownRun.task, downstream: false }));

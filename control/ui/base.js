/* SPDX-License-Identifier: Apache-2.0 */
/* What all views share: elements, numbers and times, and the way to the API. */
"use strict";
const ROWS_MAX = 200, NOTICE_MS = 6000;
const byId = id => document.getElementById(id);
let token = sessionStorage.getItem("token") || "";
let clockAhead = 0; /* ms that the box's clock is ahead of ours, when it is by more than the Date header's grain */

/* ---- elements: data is set as text, never as markup ---- */

function element(tag, attributes, ...children) {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {}))
		made.setAttribute(name, value);
	made.append(...children);
	return made;
}

function drawing(tag, attributes, ...children) {
	const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(attributes))
		made.setAttribute(name, value);
	made.append(...children);
	return made;
}

function say(where, text) {
	text = String(text);
	if (where.textContent !== text)
		where.textContent = text;
}

function put(where, name, value) {
	if (where.getAttribute(name) !== value)
		where.setAttribute(name, value);
}

/* Bring a parent's children in line with items; rows live on, so that the page does not flicker. */
function sync(parent, items, keyOf, make, update) {
	const old = parent.keptRows || new Map(), rows = new Map();
	let at = parent.firstChild;
	for (const item of items) {
		const key = keyOf(item);
		const row = old.get(key) || make(item);
		old.delete(key);
		rows.set(key, row);
		update(row, item);
		if (row === at)
			at = at.nextSibling;
		else
			parent.insertBefore(row, at);
	}
	for (const row of old.values())
		row.remove();
	parent.keptRows = rows;
}

function cells(count, numbers) {
	const row = element("tr", { class: "row" });
	for (let i = 0; i < count; i++)
		row.append(element("td", numbers.includes(i) ? { class: "n" } : {}));
	return row;
}

function nested(titles, numbers, rows) {
	const head = element("tr", {});
	titles.forEach((title, i) => head.append(element("th", numbers.includes(i) ? { class: "n" } : {}, title)));
	const body = element("tbody", {});
	for (const values of rows) {
		const row = element("tr", {});
		values.forEach((value, i) => row.append(element("td", { class: numbers.includes(i) ? "n" : "name" }, String(value))));
		body.append(row);
	}
	return element("table", {}, element("thead", {}, head), body);
}

function note(where, shown, found, all) {
	say(where, found > shown ? `${whole(shown)} of ${whole(found)} shown; filter by name` :
		found < all ? `${whole(found)} of ${whole(all)}` : all > 0 ? whole(all) : "");
}

function matching(items, filter, textOf) {
	const wanted = byId(filter).value.trim().toLowerCase();
	return wanted ? items.filter(item => textOf(item).toLowerCase().includes(wanted)) : items;
}

/* ---- numbers ---- */

const whole = value => Math.round(value || 0).toLocaleString("en-US");

function parts(value, units, step) {
	let unit = 0;
	while (value >= step * 0.9995 && unit + 1 < units.length) {
		value /= step;
		unit++;
	}
	const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	return [value.toFixed(digits), units[unit]];
}
const byteParts = value => parts(value || 0, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
const countParts = value => parts(value || 0, ["", "k", "M", "G"], 1000);
const bytes = value => byteParts(value).join(" ");
const rate = (value, text) => value > 0 ? text : "-";

function micros(value) {
	if (value >= 1e6)
		return (value / 1e6).toFixed(2) + " s";
	return value >= 1e4 ? (value / 1e3).toFixed(1) + " ms" : whole(value) + " \u00b5s";
}

function duration(ms) {
	const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
	if (d > 0)
		return `${d} d ${h % 24} h`;
	if (h > 0)
		return `${h} h ${m % 60} min`;
	return m > 0 ? `${m} min ${s % 60} s` : `${s} s`;
}

/* ---- times: shown in the reader's zone, the title has UTC ---- */

const now = () => Date.now() + clockAhead;

function brief(ms) {
	return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}

const local = text => text ? new Date(text).toLocaleString("sv-SE") : "-";

function sayTime(where, text) {
	say(where, local(text));
	put(where, "title", text || "");
}

/* Milliseconds between two of the API's times; until now when the second is not there. */
function between(begin, end) {
	return begin ? Math.max(0, (end ? Date.parse(end) : now()) - Date.parse(begin)) : null;
}

function spent(begin, end) {
	const ms = between(begin, end);
	return ms === null ? "-" : brief(ms);
}

function countdown(text) {
	const ms = Date.parse(text) - now();
	return ms > 1000 ? `in ${duration(ms)}` : ms > -2000 ? "now" : `due since ${duration(-ms)}`;
}

/* ---- the API ---- */

/* What a refusal says, in words. */
async function wordsOf(reply, path) {
	try {
		const said = await reply.json();
		return (said.errors || []).map(e => `${e.file}:${e.line}: ${e.message}${e.hint ? ` (${e.hint})` : ""}`).join("\n") ||
			said.error || `${path}: ${reply.status}`;
	} catch {
		return `${path}: ${reply.status}`;
	}
}

async function call(method, path, body, options) {
	const { timeout = 10000, signal } = options || {}, limit = AbortSignal.timeout(timeout);
	const headers = token ? { Authorization: `Bearer ${token}` } : {};
	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	const reply = await fetch(path, { method, headers, cache: "no-store",
		body: body === undefined ? undefined : JSON.stringify(body),
		signal: signal ? AbortSignal.any([signal, limit]) : limit });
	const ahead = Date.parse(reply.headers.get("Date")) + 500 - Date.now();
	clockAhead = Math.abs(ahead) > 2000 ? ahead : 0;
	if (!reply.ok) {
		const failure = new Error(await wordsOf(reply, path));
		failure.status = reply.status;
		throw failure;
	}
	return reply.json();
}
const get = (path, options) => call("GET", path, undefined, options);
const api = (...names) => "/api/v1/" + names.map(encodeURIComponent).join("/");

/* ---- places: what is looked at is in the address's hash ---- */

function placeOf(hash) {
	const [path, query] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
	let names = [];
	try {
		names = path.split("/").filter(name => name).map(decodeURIComponent);
	} catch {
		/* Not an address of ours: the first view it is. */
	}
	return { names, query: new URLSearchParams(query || "") };
}

/* Values that are null or "" are left out. */
function hashOf(names, query) {
	const kept = Object.entries(query || {}).filter(([, value]) => value);
	return "#/" + names.map(encodeURIComponent).join("/") + (kept.length ? "?" + new URLSearchParams(kept) : "");
}

/* ---- actions ---- */

/* What became of an action: a refusal is told until the next action or another place. Nothing moves for it. */
function notice(text, isGood) {
	clearTimeout(notice.timer);
	if (isGood)
		notice.timer = setTimeout(notice, NOTICE_MS, "");
	byId("notice").hidden = !text;
	byId("notice").className = isGood ? "notice fine" : "notice";
	say(byId("notice"), text || "");
}

async function act(button, work) {
	button.disabled = true;
	notice("");
	try {
		await work();
	} catch (failure) {
		notice(failure.status ? failure.message : "The box does not answer.");
	} finally {
		button.disabled = false;
		refresh();
	}
}

/* For what is not easily undone: the first click asks, a second one within 4 s does it, if it is still about the same. */
function onSure(button, subjectOf, work) {
	const text = button.textContent;
	let timer = 0, subject = null;
	const calm = () => {
		timer = 0;
		button.classList.remove("sure");
		say(button, text);
	};
	button.addEventListener("click", () => {
		const isSame = subject === subjectOf();
		if (!timer || !isSame) {
			clearTimeout(timer);
			subject = subjectOf();
			timer = setTimeout(calm, 4000);
			button.classList.add("sure");
			say(button, "sure?");
			return;
		}
		clearTimeout(timer);
		calm();
		act(button, work);
	});
}

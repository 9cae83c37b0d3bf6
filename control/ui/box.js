/* SPDX-License-Identifier: Apache-2.0 */
/* The view of the box: rates, topics, groups, cores, flushes. */
"use strict";
const HISTORY = 120;
const open = new Set(); /* "topic NAME" and "group NAME" that are unfolded */

/* ---- tiles ---- */

const tiles = [
	{ field: "records_in", title: "records in", unit: "/s", parts: countParts },
	{ field: "bytes_in", title: "bytes in", unit: "/s", parts: byteParts },
	{ field: "bytes_out", title: "bytes out", unit: "/s", parts: byteParts, out: true },
	{ field: "requests", title: "requests", unit: "/s", parts: countParts },
];

for (const tile of tiles) {
	tile.number = document.createTextNode("-");
	tile.small = element("small", {});
	tile.svg = drawing("svg", { viewBox: `0 0 ${HISTORY - 1} 46`, preserveAspectRatio: "none", role: "img",
		"aria-label": `${tile.title} in the last two minutes` });
	tile.area = tile.svg.appendChild(drawing("polygon", { class: "spark-area" }));
	tile.line = tile.svg.appendChild(drawing("polyline", { class: "spark-line" }));
	byId("tiles").append(element("section", { class: tile.out ? "card tile out" : "card tile" },
		element("div", { class: "soft" }, tile.title),
		element("div", { class: "value" }, tile.number, tile.small), tile.svg));
}

function showTiles(rates) {
	const history = rates.history.slice(-HISTORY);
	for (const tile of tiles) {
		const [number, unit] = tile.parts(rates.total[tile.field]);
		const top = Math.max(1, ...history.map(second => second[tile.field]));
		const points = history.map((second, i) =>
			`${HISTORY - history.length + i},${(43 - 39 * second[tile.field] / top).toFixed(1)}`);
		const first = HISTORY - history.length;
		tile.number.data = number;
		say(tile.small, unit + tile.unit);
		tile.line.setAttribute("points", points.join(" "));
		tile.area.setAttribute("points", points.length ?
			`${first},46 ${points.join(" ")} ${HISTORY - 1},46` : "");
	}
}

/* ---- tables ---- */

/* A row that unfolds: a second row below it holds the details while it is open. */
function unfolding(kind, name, columns, numbers) {
	const row = cells(columns, numbers);
	const button = element("button", { class: "open", type: "button", "aria-expanded": "false" }, name);
	const body = element("tbody", {}, row);
	row.firstChild.append(button);
	button.addEventListener("click", () => {
		const key = `${kind} ${name}`;
		open.has(key) ? open.delete(key) : open.add(key);
		button.setAttribute("aria-expanded", String(open.has(key)));
		refresh();
	});
	body.main = row;
	return body;
}

/* Rows that unfold are two table rows, so the table has one tbody for each. */
function details(body, columns, isOpen, build) {
	if (!isOpen) {
		if (body.more)
			body.more.remove();
		body.more = null;
		return;
	}
	if (!body.more) {
		body.more = element("tr", { class: "more" }, element("td", { colspan: columns }));
		body.append(body.more);
	}
	build(body.more.firstChild);
}

function showTopics(topics, rates, unfolded) {
	const speed = new Map(rates.topics.map(topic => [topic.topic, topic]));
	const found = matching(topics, "filter", topic => topic.name);
	const shown = [...found].sort((a, b) => a.internal - b.internal || (a.name < b.name ? -1 : 1)).slice(0, ROWS_MAX);
	note(byId("topic-note"), shown.length, found.length, topics.length);
	byId("topics-empty").hidden = topics.length > 0;
	const table = byId("topics").parentNode;
	sync(table.keptBodies || (table.keptBodies = bodiesOf(byId("topics"))), shown, topic => topic.name,
		topic => unfolding("topic", topic.name, 6, [1, 2, 3, 4, 5]),
		(body, topic) => {
			const cell = body.main.children, now = speed.get(topic.name) || {};
			if (cell[0].children.length < 2) {
				cell[0].append(element("span", { class: "badge" }));
				cell[0].className = "name";
			}
			const badge = cell[0].children[1];
			const isBad = topic.state !== "online";
			say(badge, isBad ? topic.state : "internal");
			badge.hidden = !isBad && !topic.internal;
			badge.className = isBad ? "badge warn" : "badge";
			body.main.classList.toggle("quiet", topic.internal);
			say(cell[1], whole(topic.partition_count));
			say(cell[2], whole(topic.records));
			say(cell[3], bytes(topic.size));
			say(cell[4], rate(now.records_in, whole(now.records_in)));
			say(cell[5], rate(now.bytes_in, bytes(now.bytes_in) + "/s"));
			const all = unfolded.get(`topic ${topic.name}`);
			details(body, 6, all, where => where.replaceChildren(nested(
				["partition", "leader", "epoch", "start", "watermark", "end", "size", "state"],
				[0, 1, 2, 3, 4, 5, 6], all.partitions.map(p => [p.partition, p.leader, p.leader_epoch,
					whole(p.start_offset), whole(p.high_watermark), whole(p.next_offset),
					bytes(p.size), p.state]))));
		});
}

/* sync() works on a parent's children; here these are the tbodies behind the (empty) first one. */
function bodiesOf(first) {
	const table = first.parentNode;
	return {
		get firstChild() { return first.nextSibling; },
		insertBefore(body, at) { table.insertBefore(body, at); },
	};
}

function memberText(member) {
	return member.assignment.map(part => `${part.topic}: ${part.partitions.join(", ")}`).join("; ") || "-";
}

function showGroup(where, group) {
	const members = nested(["member", "client", "host", "assignment"], [],
		group.members.map(m => [m.member_id, m.client_id, m.host, memberText(m)]));
	const offsets = nested(["topic", "partition", "committed", "watermark", "lag"], [1, 2, 3, 4],
		group.offsets.map(o => [o.topic, o.partition, whole(o.committed),
			o.high_watermark < 0 ? "-" : whole(o.high_watermark), whole(o.lag)]));
	where.replaceChildren(...(group.members.length ? [members] : []), ...(group.offsets.length ? [offsets] : []));
	if (!group.members.length && !group.offsets.length)
		where.replaceChildren("no members, no committed offsets");
}

function showGroups(groups, unfolded) {
	const found = matching(groups, "filter", group => group.group), shown = found.slice(0, ROWS_MAX);
	const table = byId("groups").parentNode;
	note(byId("group-note"), shown.length, found.length, groups.length);
	byId("groups-empty").hidden = groups.length > 0;
	sync(table.keptBodies || (table.keptBodies = bodiesOf(byId("groups"))), shown, group => group.group,
		group => unfolding("group", group.group, 5, [3, 4]),
		(body, group) => {
			const cell = body.main.children;
			say(cell[1], group.state);
			cell[1].className = group.state === "Stable" ? "good" : group.state === "Empty" ? "soft" : "warn";
			say(cell[2], group.protocol || "-");
			say(cell[3], whole(group.member_count));
			say(cell[4], whole(group.lag));
			const all = unfolded.get(`group ${group.group}`);
			details(body, 5, all, where => showGroup(where, all));
		});
}

function showCores(cores) {
	byId("cores-empty").hidden = cores.length > 0;
	sync(byId("cores"), cores, core => core.core, () => {
		const row = cells(6, [2, 3, 4, 5]);
		row.children[1].append(element("div", { class: "bar" }, element("i", {})));
		row.children[0].className = "one-line";
		row.children[1].style.width = "38%";
		return row;
	}, (row, core) => {
		const share = Math.min(1, Math.max(0, core.busy_ratio)), cell = row.children;
		say(cell[0], `core ${core.core}`);
		cell[1].firstChild.firstChild.style.width = `${(100 * share).toFixed(1)}%`;
		say(cell[2], `${(100 * share).toFixed(1)} %`);
		say(cell[3], whole(core.stalls));
		say(cell[4], whole(core.connections));
		say(cell[5], whole(core.requests));
	});
}

/* Bars are logarithmic, 10 us to 1 s: a slow disk and a fast one fit the same scale. */
function showFlush(flush) {
	const rows = [["p50", flush.p50_us], ["p99", flush.p99_us], ["p99.9", flush.p999_us], ["max", flush.max_us]];
	say(byId("flush-note"), `${whole(flush.rounds)} rounds, ${bytes(flush.bytes)} written`);
	if (!byId("flush").firstChild) {
		for (const [name] of rows)
			byId("flush").append(element("span", { class: "soft" }, name),
				element("div", { class: "bar" }, element("i", {})), element("span", { class: "n" }));
	}
	rows.forEach(([, value], i) => {
		const share = value > 0 ? Math.min(1, Math.max(0.01, (Math.log10(value) - 1) / 5)) : 0;
		byId("flush").children[3 * i + 1].firstChild.style.width = `${(100 * share).toFixed(1)}%`;
		say(byId("flush").children[3 * i + 2], flush.rounds > 0 ? micros(value) : "-");
	});
}

/* ---- the view ---- */

/* What was deleted since it was unfolded is folded again. */
async function getUnfolded() {
	const found = new Map();
	await Promise.all([...open].map(async key => {
		const [kind, name] = [key.slice(0, 5), key.slice(6)];
		try {
			found.set(key, await get(`/api/v1/${kind}s/${encodeURIComponent(name)}`));
		} catch (failure) {
			if (failure.status !== 404)
				throw failure;
			open.delete(key);
		}
	}));
	return found;
}

const boxView = {
	section: "view-box", tab: "box", title: () => "",
	async load() {
		const [rates, topics, groups, unfolded] = await Promise.all([get("/api/v1/rates"),
			get("/api/v1/topics?brief=1"), get("/api/v1/groups?brief=1"), getUnfolded()]);
		return { rates, topics: topics.topics, groups: groups.groups, unfolded };
	},
	show({ rates, topics, groups, unfolded }, place, status) {
		sync(byId("transports"), status.transports, line => line, line => element("li", {}, line), () => {});
		showCores(status.cores);
		showFlush(status.flush);
		showTiles(rates);
		showTopics(topics, rates, unfolded);
		showGroups(groups, unfolded);
	},
};
byId("filter").addEventListener("input", () => refresh());

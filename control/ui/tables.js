/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, one table, and the SQL console. */
"use strict";
const QUERY_MS = 610000, QUERY_ROWS = 1000, HASH_SQL_MAX = 4000;

/* ---- tables ---- */

const tablesView = {
	section: "view-tables", tab: "tables", title: () => "tables", period: 3000,
	load: () => get("/api/v1/tables"),
	show({ tables }) {
		const found = matching(tables, "table-filter", table => table.name), shown = found.slice(0, ROWS_MAX);
		note(byId("table-note"), shown.length, found.length, tables.length);
		byId("tables-empty").hidden = tables.length > 0;
		sync(byId("tables"), shown, table => table.name, table => {
			const row = cells(6, [1, 2, 3, 4]);
			row.firstChild.append(element("a", { class: "strong name", href: hashOf(["tables", table.name]) }, table.name),
				element("div", { class: "bad small" }));
			row.lastChild.className = "one-line";
			return row;
		}, (row, table) => {
			const cell = row.children;
			say(cell[0].lastChild, table.error || "");
			say(cell[1], table.error ? "-" : whole(table.version));
			say(cell[2], table.rows === null || table.error ? "-" : whole(table.rows));
			say(cell[3], table.error ? "-" : bytes(table.bytes));
			say(cell[4], table.error ? "-" : whole(table.files));
			sayTime(cell[5], table.updated_at);
		});
	},
};
byId("table-filter").addEventListener("input", () => refresh());

/* {"a": 1, "b": {"c": 2}} as "a 1, b {"c":2}" */
function factsText(facts) {
	return Object.entries(facts || {}).map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
}

const tableView = {
	section: "view-table", tab: "tables", title: place => place.names[1], period: 3000,
	load: place => get(api("tables", place.names[1])),
	show(table) {
		const [schema, name] = table.name.split(".");
		const sql = `SELECT * FROM ${[schema, name].map(quoted).join(".")} LIMIT 100`;
		say(byId("table-name"), table.name);
		say(byId("table-facts"), [`version ${whole(table.version)}`, table.rows === null ? "" : `${whole(table.rows)} rows`, bytes(table.bytes),
			`${whole(table.files)} file${table.files === 1 ? "" : "s"}`,
			(table.partition_columns || []).length ? `partitioned by ${table.partition_columns.join(", ")}` : "",
			table.updated_at ? `updated ${local(table.updated_at)}` : ""].filter(Boolean).join(" \u00b7 "));
		put(byId("table-query"), "href", hashOf(["sql"], { q: sql }));
		byId("schema").replaceChildren(nested(["column", "type", "null"], [],
			table.schema.map(column => [column.name, column.type, column.nullable ? "may be" : "never"])));
		sync(byId("history"), table.history, commit => commit.version, () => {
			const row = cells(5, []);
			row.children[1].className = "one-line";
			row.children[3].className = row.children[4].className = "name small";
			return row;
		}, (row, commit) => {
			const cell = row.children;
			say(cell[0], commit.version);
			sayTime(cell[1], commit.timestamp);
			say(cell[2], commit.operation || "-");
			say(cell[3], factsText(commit.parameters) || "-");
			say(cell[4], factsText(commit.metrics) || "-");
		});
	},
};

const quoted = name => /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${String(name).replaceAll("\"", "\"\"")}"`;

/* ---- SQL ---- */

const query = { stop: null, begun: 0, ticking: 0 };

function cellText(value) {
	return value === null ? "NULL" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

function showRows(answer) {
	const numbers = answer.columns.map(column => /INT|DECIMAL|DOUBLE|FLOAT|HUGEINT/.test(column.type) && !/[[(]/.test(column.type.replace(/DECIMAL\(.*?\)/, "")));
	const head = element("tr", {}), body = element("tbody", {});
	answer.columns.forEach((column, i) => head.append(element("th", { class: numbers[i] ? "n" : "" }, column.name,
		element("div", { class: "type" }, column.type.toLowerCase()))));
	for (const values of answer.data) {
		const row = element("tr", { class: "row" });
		values.forEach((value, i) => row.append(element("td", { class: `${numbers[i] ? "n" : "value"}${value === null ? " soft" : ""}` }, cellText(value))));
		body.append(row);
	}
	byId("sql-result").replaceChildren(element("table", { class: "result" }, element("thead", {}, head), body));
	say(byId("sql-note"), `${whole(answer.rows)} row${answer.rows === 1 ? "" : "s"}${answer.truncated ? " shown, there are more" : ""} in ${brief(answer.seconds * 1000)}`);
}

async function runQuery() {
	const sql = byId("sql-text").value.trim();
	if (!sql || query.stop)
		return;
	query.stop = new AbortController();
	query.begun = Date.now();
	query.ticking = setInterval(() => say(byId("sql-note"), `running for ${brief(Date.now() - query.begun)}`), 200);
	byId("sql-error").hidden = true;
	byId("sql-run").disabled = true;
	byId("sql-stop").hidden = false;
	history.replaceState(null, "", hashOf(["sql"], { q: sql.length <= HASH_SQL_MAX ? sql : "" }));
	try {
		const answer = await call("POST", "/api/v1/sql", { sql, limit: QUERY_ROWS }, { signal: query.stop.signal, timeout: QUERY_MS });
		showRows(answer);
	} catch (failure) {
		byId("sql-result").replaceChildren();
		say(byId("sql-note"), "");
		byId("sql-error").hidden = false;
		say(byId("sql-error"), failure.status ? failure.message : query.stop.signal.aborted ? "No longer waited for." : "The box does not answer.");
	} finally {
		clearInterval(query.ticking);
		query.stop = null;
		byId("sql-run").disabled = false;
		byId("sql-stop").hidden = true;
	}
}

/* A text that comes with the address is shown, not run: the address may be somebody else's. */
const sqlView = {
	section: "view-sql", tab: "sql", title: () => "sql",
	open(place) {
		if (place.query.get("q"))
			byId("sql-text").value = place.query.get("q");
		byId("sql-text").focus();
	},
	load: async () => null,
	show() {},
};

byId("sql-form").addEventListener("submit", event => {
	event.preventDefault();
	runQuery();
});
byId("sql-text").addEventListener("keydown", event => {
	if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
		event.preventDefault();
		runQuery();
	}
});
byId("sql-stop").addEventListener("click", () => query.stop && query.stop.abort());

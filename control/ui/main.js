/* SPDX-License-Identifier: Apache-2.0 */
/* Which view is shown, and what keeps it fresh. */
"use strict";
const REFRESH_MS = 1000, PERIOD_MAX_MS = 10000;
let failedSince = null, shownPlace = null, shownView = null;

function viewOf({ names }) {
	switch (names[0]) {
	case "pipelines": return names[1] ? pipelineView : pipelinesView;
	case "tables": return names[1] ? tableView : tablesView;
	case "sql": return sqlView;
	default: return boxView;
	}
}

function showView() {
	const place = placeOf(location.hash), view = viewOf(place);
	const isSame = shownView === view && shownPlace.names.join("/") === place.names.join("/");
	if (!isSame) {
		if (shownView && shownView.close)
			shownView.close();
		for (const section of byId("body").children)
			section.hidden = section.id !== view.section;
		/* What another pipeline or table left there is not shown as this one's. */
		byId(view.section).classList.toggle("waiting", view === pipelineView || view === tableView);
		for (const link of byId("nav").children)
			put(link, "aria-current", link.dataset.view === view.tab ? "page" : "false");
		problem("");
		notice("");
	}
	const title = view.title(place);
	document.title = title ? `${title} - Millrace` : "Millrace";
	shownPlace = place;
	shownView = view;
	if (!isSame && view.open)
		view.open(place);
}

/* ---- what is wrong ---- */

function banner(text, wantsToken) {
	byId("banner").hidden = !text;
	say(byId("banner-text"), text || "");
	byId("token-form").hidden = !wantsToken;
}

/* Why the view below is not fresh. */
function problem(text) {
	byId("problem").hidden = !text;
	say(byId("problem"), text || "");
}

function showFailure(failure) {
	byId("body").classList.add("stale");
	byId("dataplane").className = "pill bad";
	say(byId("dataplane"), failure.status === 401 ? "locked" : "no answer");
	if (failure.status === 401) {
		banner("This box asks for its token (setting http.token).", true);
		return;
	}
	failedSince = failedSince || new Date();
	banner(`The box at ${location.host} does not answer since ${failedSince.toLocaleTimeString()}` +
		" (is millrace up running?). What is below is old; this page tries again every second.");
}

function showStatus(status) {
	const up = byId("dataplane");
	say(up, status.dataplane ? "dataplane up" : "dataplane away");
	up.className = `pill ${status.dataplane ? "good" : "bad"}`;
	say(byId("uptime"), duration(status.uptime_ms));
	say(byId("cluster"), status.cluster_id);
	say(byId("version"), status.version);
	banner(status.dataplane ? "" : "The dataplane is away. Control goes on without it and connects again by itself; positions of topics are the last known.");
}

/* ---- keeping fresh ---- */

async function refresh() {
	const turn = ++refresh.turn, view = shownView, place = shownPlace;
	const [status, data] = await Promise.allSettled([get("/api/v1/status"), view.load(place)]);
	if (turn !== refresh.turn)
		return; /* a newer one is under way */
	if (status.reason) {
		showFailure(status.reason);
		return;
	}
	failedSince = null;
	showStatus(status.value);
	byId("body").classList.toggle("stale", Boolean(data.reason));
	if (data.reason) {
		problem(data.reason.status ? data.reason.message : "The box has no answer for this in time; trying again.");
		return;
	}
	problem("");
	view.show(data.value, place, status.value);
	byId(view.section).classList.remove("waiting");
	say(byId("when"), `as of ${new Date().toLocaleTimeString()}`);
}
refresh.turn = 0;

byId("token-form").addEventListener("submit", event => {
	event.preventDefault();
	token = byId("token").value;
	sessionStorage.setItem("token", token);
	refresh();
});
window.addEventListener("hashchange", () => {
	showView();
	refresh();
});

/* What takes long to answer is asked for less often. */
async function live() {
	const begun = Date.now();
	try {
		if (!document.hidden)
			await refresh();
	} finally {
		setTimeout(live, Math.max(shownView.period || REFRESH_MS, Math.min(10 * (Date.now() - begun), PERIOD_MAX_MS)));
	}
}
document.addEventListener("visibilitychange", () => document.hidden || refresh());
showView();
live();

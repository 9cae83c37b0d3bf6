/* SPDX-License-Identifier: Apache-2.0 */
/* A pipeline's tasks as a graph: layers from left to right, edges that pass layers go through gaps of their own. */
"use strict";
const NODE_W = 176, NODE_H = 44, LAYER_GAP = 64, NODE_GAP = 18, PASS_H = 10, MARGIN = 8;

/* Tasks by layer: one more than the highest of their upstream ones. */
function layersOf(tasks) {
	const byName = new Map(tasks.map(task => [task.task_id, task])), layer = new Map();
	const layerOf = name => {
		if (!layer.has(name)) {
			layer.set(name, 0); /* also ends a circle, which the box does not take anyway */
			layer.set(name, Math.max(0, ...byName.get(name).upstream.filter(up => byName.has(up)).map(up => layerOf(up) + 1)));
		}
		return layer.get(name);
	};
	tasks.forEach(task => layerOf(task.task_id));
	return layer;
}

/* Nodes of each layer, with a passing node for each layer that an edge crosses; and the edges as chains of nodes. */
function chainsOf(tasks) {
	const layer = layersOf(tasks), columns = [], nodes = new Map(), edges = [];
	const add = node => {
		(columns[node.layer] = columns[node.layer] || []).push(node);
		return node;
	};
	for (const task of tasks)
		nodes.set(task.task_id, add({ task, layer: layer.get(task.task_id), height: NODE_H, near: [] }));
	for (const task of tasks) {
		for (const up of task.upstream.filter(name => nodes.has(name))) {
			const to = nodes.get(task.task_id), chain = [nodes.get(up)];
			for (let at = chain[0].layer + 1; at < to.layer; at++)
				chain.push(add({ layer: at, height: PASS_H, near: [] }));
			chain.push(to);
			for (let i = 0; i + 1 < chain.length; i++) {
				chain[i].near.push(chain[i + 1]);
				chain[i + 1].near.push(chain[i]);
			}
			edges.push(chain);
		}
	}
	return { columns, edges };
}

/* Fewer crossings: each node goes to the mean place of its neighbours in the layer before, or behind. */
function arrange(columns) {
	const number = column => column.forEach((node, i) => { node.rank = (i + 0.5) / column.length; });
	columns.forEach(number);
	for (let sweep = 0; sweep < 8; sweep++) {
		const step = sweep % 2 ? -1 : 1;
		for (const column of sweep % 2 ? [...columns].reverse() : columns) {
			for (const node of column) {
				const near = node.near.filter(other => other.layer === node.layer - step);
				node.wish = near.length ? near.reduce((sum, other) => sum + other.rank, 0) / near.length : node.rank;
			}
			column.sort((a, b) => a.wish - b.wish);
			number(column);
		}
	}
}

function setPlaces(columns) {
	const heights = columns.map(column => column.reduce((sum, node) => sum + node.height + NODE_GAP, -NODE_GAP));
	const height = Math.max(NODE_H, ...heights);
	columns.forEach((column, i) => {
		let y = MARGIN + (height - heights[i]) / 2;
		for (const node of column) {
			node.x = MARGIN + i * (NODE_W + LAYER_GAP);
			node.y = y + node.height / 2;
			y += node.height + NODE_GAP;
		}
	});
	return { width: 2 * MARGIN + columns.length * (NODE_W + LAYER_GAP) - LAYER_GAP, height: height + 2 * MARGIN };
}

function edgePath(chain) {
	let path = `M${chain[0].x + NODE_W} ${chain[0].y}`;
	for (let i = 1; i < chain.length; i++) {
		const from = chain[i - 1], to = chain[i], bend = LAYER_GAP / 2;
		path += ` C${from.x + NODE_W + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
		if (!to.task)
			path += ` H${to.x + NODE_W}`;
	}
	return path;
}

const cut = (text, size) => text.length > size ? text.slice(0, size - 1) + "\u2026" : text;

function makeNode(node) {
	const top = node.y - NODE_H / 2;
	const box = drawing("a", { class: "node" },
		drawing("title", {}),
		drawing("rect", { x: node.x, y: top, width: NODE_W, height: NODE_H, rx: 9, class: "frame" }),
		drawing("rect", { x: node.x + 8, y: top + 10, width: 24, height: 24, rx: 6, class: "mark" }),
		drawing("text", { x: node.x + 20, y: top + 27, class: "glyph" }),
		drawing("text", { x: node.x + 41, y: top + 19, class: "node-name" }, cut(node.task.task_id, 18)),
		drawing("text", { x: node.x + 41, y: top + 35, class: "node-kind" }));
	box.task = node.task;
	return box;
}

/* @param stateOf  task name to its instance in the run shown; @param hrefOf  task name to the address of its attempt */
function showGraph(where, dag, stateOf, hrefOf, selected) {
	if (where.drawnVersion !== dag.version || where.drawnDag !== dag.dag_id) {
		const { columns, edges } = chainsOf(dag.tasks);
		arrange(columns);
		const { width, height } = setPlaces(columns);
		const svg = drawing("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `tasks of ${dag.dag_id}` },
			...edges.map(chain => drawing("path", { d: edgePath(chain), class: "edge" })));
		where.nodes = columns.flat().filter(node => node.task).map(makeNode);
		svg.append(...where.nodes);
		where.replaceChildren(svg);
		where.drawnVersion = dag.version;
		where.drawnDag = dag.dag_id;
	}
	for (const box of where.nodes) {
		const name = box.task.task_id, instance = stateOf(name) || {}, state = instance.state || "none";
		const [title, , , glyph, , kind] = box.children;
		put(box, "class", `node st-${state}${name === selected ? " selected" : ""}`);
		put(box, "href", hrefOf(name));
		say(title, `${name}: ${wordOf(state)}\n${box.task.kind}, trigger rule ${box.task.trigger_rule}${box.task.writes ? `, writes ${box.task.writes}` : ""}`);
		say(glyph, STATES[state] || "");
		say(kind, instance.start_date && state !== "up_for_reschedule" ? `${box.task.kind} \u00b7 ${spent(instance.start_date, instance.end_date)}` : box.task.kind);
	}
}

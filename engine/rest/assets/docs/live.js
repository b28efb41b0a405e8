// The answer to a question, kept up to date. The session is a cookie that no script reads.
"use strict";

const byId = (id) => document.getElementById(id);
const EXAMPLE = '{"object": "sales_deals", "where": {"stage": "open"}}';
const HELP = `A question is JSON that names an object, and says what else is wanted of it: ${EXAMPLE}`;

let stream = null;
let records = new Map();
let deltas = 0;

const send = (path, body) =>
  fetch(`/api/v1${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });

async function tellWho() {
  const { name } = await (await send("/docs/user")).json();
  const known = name !== null;
  byId("sign-in").classList.toggle("known", known);
  byId("sign-out").hidden = !known;
  byId("sign-in").querySelector("button").hidden = known;
  byId("who").textContent = known ? `${name}: what this user may see.` : "Not signed in.";
}

function cell(value) {
  const made = document.createElement("td");
  made.textContent = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return made;
}

function show(touched) {
  const names = new Set();
  for (const record of records.values()) Object.keys(record).forEach((name) => names.add(name));
  const head = document.createElement("tr");
  for (const name of names) {
    const made = document.createElement("th");
    made.textContent = name;
    head.append(made);
  }
  byId("head").replaceChildren(head);
  const rows = [];
  for (const [key, record] of records) {
    const row = document.createElement("tr");
    row.dataset.key = key;
    if (touched.has(key)) row.className = touched.get(key);
    row.append(...[...names].map((name) => cell(record[name])));
    rows.push(row);
  }
  byId("records").replaceChildren(...rows);
  byId("state").textContent = `${records.size} records, changed ${deltas} times`;
}

function take(message) {
  const touched = new Map();
  for (const { key, record } of message.records ?? []) records.set(key, record);
  for (const { op, key, record } of message.changes ?? []) {
    if (op === "remove") records.delete(key);
    else records.set(key, record);
    touched.set(key, op);
  }
  if (message.order) records = new Map(message.order.map((key) => [key, records.get(key)]));
  if (message.type === "delta" && message.last) deltas += 1;
  if (message.last) show(touched);
}

// What is wrong with a question before anybody is asked; nothing of what the gate decides.
function mistake(query) {
  if (query.trim() === "") return HELP;
  try {
    const { object } = JSON.parse(query);
    return typeof object === "string" && object !== "" ? "" : `The question names no object. ${HELP}`;
  } catch (error) {
    return `${error.message}. ${HELP}`;
  }
}

// A stream that is refused does not say why: the same request does.
async function reason(path) {
  const answer = await fetch(path);
  if (answer.ok) {
    await answer.body.cancel();
    return "The gate refused this question for a moment. Ask again.";
  }
  const told = await answer.json();
  return told.error?.message ?? told.message ?? told.error ?? "The gate refuses this question.";
}

function follow(query) {
  if (stream) stream.close();
  stream = null;
  records = new Map();
  deltas = 0;
  show(new Map());
  byId("state").textContent = mistake(query);
  if (byId("state").textContent) return;
  const path = `/api/v1/realtime?query=${encodeURIComponent(query)}`;
  const own = (stream = new EventSource(path));
  // A stream that comes again begins with the whole answer.
  own.onopen = () => {
    records = new Map();
    deltas = 0;
  };
  own.onmessage = (event) => take(JSON.parse(event.data));
  own.addEventListener("error", async (event) => {
    if (event.data) {
      byId("state").textContent = JSON.parse(event.data).message;
      own.close();
    } else if (own.readyState === EventSource.CLOSED) {
      const why = await reason(path).catch(() => "The gate does not answer.");
      if (own === stream) byId("state").textContent = why;
    }
  });
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send("/auth/sign-in/email", { email: byId("email").value, password: byId("password").value });
  byId("password").value = "";
  byId("problem").textContent = answer.ok ? "" : (await answer.json()).message;
  if (answer.ok) await tellWho();
});

byId("sign-out").addEventListener("click", async () => {
  if (stream) stream.close();
  await send("/auth/sign-out", {});
  await tellWho();
});

byId("question").addEventListener("submit", (event) => {
  event.preventDefault();
  follow(byId("query").value);
});

const asked = new URLSearchParams(location.search).get("query");
byId("query").value = asked ?? "";
byId("query").placeholder = EXAMPLE;
tellWho().then(() => {
  if (asked) follow(asked);
});

// The answer to a question, kept up to date. The session is a cookie that no script reads.
"use strict";

const byId = (id) => document.getElementById(id);
const FIRST = { object: "", fields: [], where: {} };

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
  const session = await (await send("/auth/get-session")).json();
  const known = session !== null;
  byId("sign-in").classList.toggle("known", known);
  byId("sign-out").hidden = !known;
  byId("sign-in").querySelector("button").hidden = known;
  byId("who").textContent = known ? `${session.user.name}: what this user may see.` : "Not signed in.";
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

function follow(query) {
  if (stream) stream.close();
  stream = new EventSource(`/api/v1/realtime?query=${encodeURIComponent(query)}`);
  // A stream that comes again begins with the whole answer.
  stream.onopen = () => {
    records = new Map();
    deltas = 0;
  };
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.addEventListener("error", (event) => {
    if (event.data) {
      byId("state").textContent = JSON.parse(event.data).message;
      stream.close();
    } else if (stream.readyState === EventSource.CLOSED) {
      byId("state").textContent = "The gate refuses this question.";
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
byId("query").value = asked ?? JSON.stringify(FIRST, null, 2);
tellWho().then(() => {
  if (asked) follow(asked);
});

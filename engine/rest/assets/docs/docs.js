// The description as the signed-in user may see it. The session is a cookie that no script reads.
"use strict";

const byId = (id) => document.getElementById(id);
const shown = SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#interface",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  syntaxHighlight: false,
});

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
  byId("who").textContent = known
    ? `${name}: what this user may see and do.`
    : "Not signed in: only what is open to all is listed.";
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send("/auth/sign-in/email", { email: byId("email").value, password: byId("password").value });
  byId("password").value = "";
  byId("problem").textContent = answer.ok ? "" : (await answer.json()).message;
  if (answer.ok) {
    shown.specActions.download();
    await tellWho();
  }
});

byId("sign-out").addEventListener("click", async () => {
  await send("/auth/sign-out", {});
  shown.specActions.download();
  await tellWho();
});

tellWho();

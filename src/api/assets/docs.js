// The page of GET /docs: lists the operations of openapi.json.
const list = document.getElementById("list");

function add(parent, name, text, className) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

function show(parent, title, value) {
  if (!value) return;
  add(parent, "h4", title);
  add(parent, "pre", JSON.stringify(value, null, 2));
}

function addOperation(api, path, method, operation) {
  const named = (v) => (v && v.$ref ? api.components.schemas[v.$ref.split("/").pop()] : v);
  const details = add(list, "details");
  const summary = add(details, "summary");
  add(summary, "code", method.toUpperCase(), "m");
  add(summary, "code", path);
  add(summary, "span", " " + operation.summary);
  show(details, "Parameters", operation.parameters);
  const body = operation.requestBody && Object.values(operation.requestBody.content)[0];
  show(details, "Body", body && named(body.schema));
  for (const [code, answer] of Object.entries(operation.responses))
    if (answer.content) show(details, code, named(Object.values(answer.content)[0].schema));
}

async function main() {
  const api = await (await fetch("openapi.json")).json();
  let tag = "";
  list.textContent = "";
  for (const [path, operations] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(operations)) {
      if (operation.tags[0] !== tag) add(list, "h2", (tag = operation.tags[0]));
      addOperation(api, path, method, operation);
    }
}

main().catch((e) => { list.textContent = "The document cannot be read: " + e; });

// The page of `gdpw-pipe edit`: sliders say lines of the edit language, answers bring values and pictures.

const TITLES = {
  global_pose: "Head",
  jaw_pose: "Jaw",
  leye_pose: "Left eye",
  reye_pose: "Right eye",
  cam: "Camera",
  shape: "Shape",
  exp: "Expression",
};

const element = (id) => document.getElementById(id);
const rows = [];

// Edits that wait for their turn: only the newest value of each slider is sent. One stroke is one step to undo.
const waiting = new Map();
let busy = false;
let stroke = 0;
let strokeSent = null;

async function ask(line, amend) {
  const answer = await fetch("edit", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ line, amend }),
  });
  const state = await answer.json();
  if (state.error) {
    say(state.error, true);
    show(state);
  } else {
    show(state);
    say(`${state.summary} · ${Math.round(state.milliseconds)} ms`);
  }
}

async function send() {
  if (busy) return;
  busy = true;
  try {
    while (waiting.size) {
      const line = [...waiting.values()].join(" ");
      waiting.clear();
      const amend = stroke === strokeSent;
      strokeSent = stroke;
      await ask(line, amend);
    }
  } catch {
    say("No answer: is gdpw-pipe edit still running?", true);
  } finally {
    busy = false;
  }
}

function change(line) {
  stroke += 1;
  waiting.set("line", line);
  return send();
}

async function step(word) {
  while (busy) await new Promise((done) => setTimeout(done, 10));
  await change(word);
  strokeSent = null;
}

function say(text, fault = false) {
  element("status").textContent = text;
  element("status").classList.toggle("fault", fault);
}

function show(state) {
  for (const [id, data] of Object.entries(state.pictures)) element(id).src = `data:image/jpeg;base64,${data}`;
  element("undo").disabled = !state.can_undo;
  element("redo").disabled = !state.can_redo;
  rows.forEach((row, number) => row.show(state.values[number]));
}

function build({ name, part, low, high, start }) {
  const row = document.createElement("div");
  row.className = "slider";
  const label = document.createElement("label");
  label.textContent = part;
  label.title = "Double click: as in the portrait";
  const range = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step: "any" });
  range.id = `${name}-${part}`;
  label.htmlFor = range.id;
  const number = Object.assign(document.createElement("input"), { type: "number", step: "any" });
  number.setAttribute("aria-label", `${name} ${part}`);
  row.append(label, range, number);

  const digits = name === "cam" && part !== "scale" ? 3 : 2;
  let held = false;
  range.addEventListener("input", () => {
    if (!held) stroke += 1;
    held = true;
    number.value = range.valueAsNumber.toFixed(digits);
    waiting.set(range.id, `${name} ${part} ${range.value}`);
    send();
  });
  range.addEventListener("change", () => (held = false));
  number.addEventListener("change", () => change(`${name} ${part} ${number.value}`));
  label.addEventListener("dblclick", () => change(`${name} ${part} ${start}`));

  rows.push({
    show(value) {
      row.classList.toggle("changed", Math.abs(value - start) > 1e-3);
      if (held) return;
      range.value = value;
      if (document.activeElement !== number) number.value = value.toFixed(digits);
    },
  });
  return row;
}

function arrange(sliders) {
  for (const [name, title] of Object.entries(TITLES)) {
    const group = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = title;
    group.append(legend);
    element("sliders").append(group);
    group.dataset.name = name;
  }
  for (const slider of sliders) {
    document.querySelector(`fieldset[data-name="${slider.name}"]`).append(build(slider));
  }
}

for (const word of ["undo", "redo", "reset"]) element(word).addEventListener("click", () => step(word));

element("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = element("line").value.trim();
  if (line) change(line);
});

document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("#line, [type=number]")) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  step(key === "y" || event.shiftKey ? "redo" : "undo");
});

const state = await (await fetch("state")).json();
arrange(state.sliders);
show(state);
say(state.summary);
document.body.dataset.ready = "yes";

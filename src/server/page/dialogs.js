// The two questions of the page: really disconnect, and what a provider needs to know first.

import { element } from "./dom.js";

/** Asks before a connection ends; true when the person says so. */
export function askToDisconnect(name) {
  return new Promise((resolve) => {
    const dialog = element(
      "dialog",
      { "aria-labelledby": "kf.question", "aria-describedby": "kf.consequence" },
      element("h2", { id: "kf.question" }, `Disconnect ${name}?`),
      element("p", { id: "kf.consequence", class: "soft" }, `The application loses its access at once, and ${name} is told to end it. You can connect again at any time.`),
      element(
        "div",
        { class: "actions end" },
        element("button", { type: "button", onclick: () => dialog.close(), autofocus: true }, "Keep connected"),
        element("button", { type: "button", class: "danger", onclick: () => dialog.close("disconnect") }, "Disconnect"),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "disconnect");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks for the variables and calls `go` with them inside of the person's own click, so that a window may open. */
export function askForVariables(name, variables, go) {
  const fields = variables.map((variable, index) => new Field(variable, index));
  const form = element(
    "form",
    { novalidate: true },
    element("h2", { id: "kf.question" }, `Connect ${name}`),
    element("p", { class: "soft" }, `${name} needs to know this first.`),
    ...fields.map((field) => field.root),
    element(
      "div",
      { class: "actions end" },
      element("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      element("button", { class: "primary" }, "Continue"),
    ),
  );
  const dialog = element("dialog", { "aria-labelledby": "kf.question" }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = fields.filter((field) => !field.check());
    if (wrong.length > 0) return wrong[0].focus();
    const values = Object.fromEntries(fields.map((field) => [field.variable.name, field.value]));
    dialog.close();
    return go(values);
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

class Field {
  constructor(variable, index) {
    this.variable = variable;
    const [id, help, fault] = ["value", "help", "fault"].map((part) => `kf.${part}.${index}`);
    const described = [variable.help && help, fault].filter(Boolean).join(" ");
    const common = { id, name: variable.name, required: true, "aria-describedby": described };
    this.input = variable.enum.length > 0
      ? element("select", common, ...variable.enum.map((value) => element("option", { value, selected: value === variable.default }, value)))
      : element("input", {
          ...common,
          type: variable.secret ? "password" : "text",
          value: variable.default,
          // "off" is not heeded for passwords, and a login of the application is not what is wanted here.
          autocomplete: variable.secret ? "new-password" : "off",
          autocapitalize: "none",
          spellcheck: "false",
        });
    this.fault = element("p", { id: fault, class: "fault", role: "alert" });
    this.root = element(
      "div",
      { class: "question" },
      element("label", { for: id }, variable.title ?? variable.name),
      variable.help ? element("p", { id: help, class: "soft" }, variable.help) : null,
      this.input,
      this.fault,
    );
    this.input.addEventListener("input", () => this.say(""));
  }

  get value() {
    return this.input.value.trim();
  }

  focus() {
    this.input.focus();
  }

  check() {
    const { pattern } = this.variable;
    if (this.value === "") return this.say("This is needed.");
    if (pattern && !matches(pattern, this.value)) return this.say("This does not have the form that is needed.");
    return this.say("");
  }

  say(sentence) {
    this.fault.textContent = sentence;
    if (sentence) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
    return sentence === "";
  }
}

// The pattern is written for another engine; what this one cannot read is left to the server.
function matches(pattern, value) {
  try {
    return new RegExp(pattern).test(value);
  } catch {
    return true;
  }
}

// One integration on the page: its status, and what can be done about it.

import { keyferry } from "./connect.js";
import { askForVariables, askToDisconnect } from "./dialogs.js";
import { element, when } from "./dom.js";
import { Items } from "./items.js";

const STATUS = {
  active: ["Connected", "good"],
  operated: ["Connected by the operator", "good"],
  reconnect_required: ["Has to be connected again", "warn"],
  none: ["Not connected", "calm"],
  unready: ["Not set up yet", "calm"],
};

export class Card {
  /** `page` gives `who()`, `address(integration)`, `announce(sentence)` and `reload()`. */
  constructor(entry, page) {
    this.page = page;
    this.attempt = null;
    this.items = null;
    this.status = element("span", { class: "status" });
    this.notice = element("div", { role: "alert" });
    this.body = element("div", {});
    this.connectButton = element("button", { type: "button", onclick: () => this.begin() });
    this.cancelButton = element("button", { type: "button", hidden: true, onclick: () => this.attempt?.abort() }, "Cancel");
    this.loadButton = element("button", { type: "button", onclick: () => this.load() }, "Load items");
    this.disconnectButton = element("button", { type: "button", class: "quiet", onclick: () => this.disconnect() }, "Disconnect");
    const name = entry.display_name;
    const category = categoryName(entry.category);
    this.heading = element("h2", { tabindex: "-1" }, name);
    this.root = element(
      "li",
      { class: "card", id: entry.integration, "aria-label": name },
      element(
        "div",
        { class: "head" },
        element("span", { class: `mark tint${tint(entry.provider)}`, "aria-hidden": "true" }, [...name][0]),
        element("div", { class: "what" }, this.heading, element("p", { class: "more" }, this.status, category ? element("span", { class: "soft" }, category) : null)),
        element("div", { class: "actions" }, this.loadButton, this.connectButton, this.cancelButton, this.disconnectButton),
      ),
      this.notice,
      this.body,
    );
    this.update(entry);
  }

  /** Shows what the server says now. */
  update(entry) {
    this.entry = entry;
    this.draw();
  }

  matches(search, category) {
    const { display_name, integration, provider, category: own } = this.entry;
    const text = `${display_name} ${integration} ${provider} ${categoryName(own) ?? ""}`.toLocaleLowerCase();
    return (category === "" || own === category) && search.toLocaleLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  /** Brings it into sight and marks it for a moment. */
  point() {
    this.root.classList.remove("pointed");
    this.root.scrollIntoView({ block: "center" });
    this.heading.focus({ preventScroll: true });
    // Read, so that the mark begins anew.
    void this.root.offsetWidth;
    this.root.classList.add("pointed");
  }

  draw() {
    const { status, configured, items, updated_at } = this.entry;
    // For everybody: there is nothing that this person could connect or disconnect.
    const isOperated = this.entry.connected_by === "operator";
    const isConnecting = this.attempt !== null;
    const isActive = status === "active";
    const [word, tone] = configured ? STATUS[isActive && isOperated ? "operated" : status] ?? STATUS.none : STATUS.unready;
    this.status.className = `status ${isConnecting ? "busy" : tone}`;
    const since = isActive && !isOperated && !isConnecting ? when(updated_at) : null;
    this.status.replaceChildren(
      element("span", { class: "dot", "aria-hidden": "true" }),
      isConnecting ? `Waiting for ${this.entry.display_name} in the other window` : word,
    );
    if (since) this.status.title = `Last renewed: ${since.title}`;
    else this.status.removeAttribute("title");
    label(this.connectButton, status === "active" || status === "reconnect_required" ? "Connect again" : "Connect", this.entry);
    label(this.loadButton, "Load items", this.entry);
    label(this.disconnectButton, "Disconnect", this.entry);
    this.connectButton.className = { active: "", reconnect_required: "primary" }[status] ?? "tonal";
    this.show({
      [CONNECT]: configured && !isOperated && !isConnecting,
      [CANCEL]: isConnecting,
      [LOAD]: configured && isActive && items && !isConnecting && !this.items,
      [DISCONNECT]: (isActive || status === "reconnect_required") && !isOperated && !isConnecting,
    });
  }

  /** Shows some buttons and hides the others; a focus that would be lost goes to the first that is left. */
  show(shown) {
    const buttons = [this.loadButton, this.connectButton, this.cancelButton, this.disconnectButton];
    const focused = document.activeElement;
    buttons.forEach((button, index) => {
      button.hidden = !shown[index];
    });
    if (buttons.includes(focused) && focused.hidden) (buttons.find((button) => !button.hidden) ?? this.heading).focus();
  }

  begin() {
    const { variables, display_name } = this.entry;
    if (variables.length === 0) this.connect({});
    else askForVariables(display_name, variables, (values) => this.connect(values));
  }

  connect(variables) {
    const { integration, display_name } = this.entry;
    this.attempt = new AbortController();
    const options = { ...this.page.who(), variables, signal: this.attempt.signal, returnTo: this.page.address(integration) };
    // Called before anything is waited for: the window has to open inside of the click.
    const connecting = keyferry.connect(integration, options).catch((error) => {
      if (error.code !== "popup_blocked") throw error;
      this.page.announce(`Going to ${display_name}.`);
      return keyferry.connect(integration, { ...options, popup: false });
    });
    this.say(null);
    this.page.announce(`Waiting for ${display_name} in the other window.`);
    this.draw();
    this.cancelButton.focus();
    this.end(connecting);
  }

  async end(connecting) {
    try {
      const connection = await connecting;
      this.attempt = null;
      this.welcome(connection);
    } catch (error) {
      this.attempt = null;
      this.draw();
      if (error.code === "aborted") this.page.announce("Cancelled.");
      else this.fail(error);
    }
    this.page.changed();
  }

  /** A connection has come. */
  welcome(connection) {
    this.update({ ...this.entry, status: connection.status, connection: connection.connection, updated_at: connection.updated_at });
    this.page.announce(`${this.entry.display_name} is connected.`);
    if (this.items) this.load();
  }

  async disconnect() {
    const { integration, display_name } = this.entry;
    if (!(await askToDisconnect(display_name))) return;
    this.say(null);
    try {
      const { status } = await keyferry.disconnect(integration, this.page.who());
      if (this.items) this.items.close(() => this.forgetItems());
      this.update({ ...this.entry, status });
      this.page.announce(`${display_name} is disconnected.`);
    } catch (error) {
      this.fail(error);
    }
    this.page.changed();
  }

  load() {
    if (!this.items) {
      this.items = new Items(this.entry, this.page, () => {
        this.forgetItems();
        this.draw();
        this.loadButton.focus();
      });
      this.body.append(this.items.root);
      this.items.heading.focus();
      this.draw();
    }
    this.items.load();
  }

  forgetItems() {
    this.items = null;
  }

  fail(error) {
    this.say(error.detail ?? "Something went wrong on this page. Reload it and try again.");
  }

  say(sentence) {
    const close = () => this.say(null);
    this.notice.replaceChildren(
      ...(sentence === null
        ? []
        : [element("div", { class: "notice bad" }, element("p", {}, sentence), element("button", { type: "button", class: "quiet", onclick: close }, "Close"))]),
    );
  }
}

const [LOAD, CONNECT, CANCEL, DISCONNECT] = [0, 1, 2, 3];

/** The category as people write it: `crm` is an abbreviation, `development` a word. */
export function categoryName(category) {
  if (!category) return null;
  return category.length <= 3 ? category.toLocaleUpperCase() : category[0].toLocaleUpperCase() + category.slice(1).replaceAll(/[-_]/g, " ");
}

/** Many buttons say the same: whoever hears them hears which integration they mean. */
function label(button, text, { display_name }) {
  button.textContent = text;
  button.setAttribute("aria-label", `${text}: ${display_name}`);
}

/** One of six colours, always the same for the same provider. */
function tint(text) {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 6007, 39) % 6;
}

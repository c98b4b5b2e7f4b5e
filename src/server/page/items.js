// The items of one connection, in a table that fills as they come.

import { keyferry } from "./connect.js";
import { element, outwardLink, when } from "./dom.js";

const PAGE = 100;
const COLUMNS = ["Name", "Type", "In", "Created", "Changed"];

export class Items {
  /** `page` gives `who()`, `announce(sentence)` and `reload()`; `onclose` is called when the person has had enough. */
  constructor(entry, page, onclose) {
    this.entry = entry;
    this.page = page;
    this.attempt = null;
    this.next = null;
    this.types = new Set();
    this.heading = element("h3", { tabindex: "-1" }, `Items of ${entry.display_name}`);
    this.count = element("p", { class: "count soft" });
    this.type = element("select", { onchange: () => this.load() }, element("option", { value: "" }, "All types"));
    this.cancel = element("button", { type: "button", onclick: () => this.stop() }, "Cancel");
    this.clear = element("button", { type: "button", onclick: () => this.close(onclose) }, "Clear");
    this.more = element("button", { type: "button", onclick: () => this.load({ isMore: true }) }, "Load more");
    this.notice = element("div", { role: "alert" });
    this.empty = element("p", { class: "soft empty" });
    this.rows = element("tbody", { role: "rowgroup" });
    this.table = element(
      "table",
      { role: "table", "aria-label": `Items of ${entry.display_name}` },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...COLUMNS.map((name) => element("th", { role: "columnheader", scope: "col" }, name)))),
      this.rows,
    );
    this.root = element(
      "section",
      { class: "items", "aria-label": `Items of ${entry.display_name}` },
      element(
        "div",
        { class: "bar" },
        this.heading,
        this.count,
        element("label", { class: "field" }, element("span", { class: "unseen" }, "Type"), this.type),
        this.cancel,
        this.clear,
      ),
      this.notice,
      this.empty,
      element("div", { class: "scroll" }, this.table),
      this.more,
    );
  }

  /** Loads from the beginning, or goes on where the last load ended. */
  async load({ isMore = false } = {}) {
    this.attempt?.abort();
    const attempt = new AbortController();
    this.attempt = attempt;
    if (!isMore) this.rows.replaceChildren();
    const before = this.rows.children.length;
    const cursor = isMore ? this.next : undefined;
    this.next = null;
    this.notice.replaceChildren();
    this.show(true);
    const options = { ...this.page.who(), type: this.type.value, limit: PAGE, cursor, signal: attempt.signal };
    try {
      const walk = keyferry.items(this.entry.integration, options);
      for (;;) {
        const { value, done } = await walk.step();
        if (attempt.signal.aborted) return;
        if (done) {
          this.next = value.next;
          this.tell(value.problems);
          break;
        }
        this.add(value);
      }
    } catch (error) {
      // Another load has taken over, or the table is gone.
      if (this.attempt !== attempt) return;
      if (error.code === "aborted") this.next = isMore ? cursor : null;
      else this.fail(error);
    }
    this.attempt = null;
    this.show(false);
    const [first] = [...this.rows.children].slice(before);
    if (isMore && first) (first.querySelector("a") ?? first.firstChild).focus();
    this.page.announce(this.summary());
  }

  /** Stops loading; what came stays. */
  stop() {
    this.attempt?.abort();
    this.clear.focus();
  }

  close(onclose) {
    const { attempt } = this;
    this.attempt = null;
    attempt?.abort();
    this.root.remove();
    onclose();
  }

  add(item) {
    if (item.visibility === false) return;
    if (item.type && !this.types.has(item.type)) {
      this.types.add(item.type);
      const later = [...this.type.options].slice(1).find((option) => option.value > item.type);
      this.type.insertBefore(element("option", { value: item.type }, item.type), later ?? null);
    }
    const name = item.name || item.id;
    const cells = [
      element("span", { class: "name" }, outwardLink(item.url, name) ?? element("span", {}, name)),
      item.type ? element("span", { class: "tag" }, item.type) : null,
      item.parent_path_or_name,
      when(item.creation_time),
      when(item.last_modified_time),
    ];
    this.rows.append(
      element("tr", { role: "row" }, ...cells.map((cell, index) => element("td", { role: "cell", "data-column": COLUMNS[index], tabindex: index === 0 ? "-1" : null, class: cell ? null : "none" }, cell))),
    );
    this.table.hidden = false;
    this.count.textContent = this.summary();
  }

  show(isLoading) {
    const count = this.rows.children.length;
    this.root.setAttribute("aria-busy", String(isLoading));
    this.cancel.hidden = !isLoading;
    this.more.hidden = isLoading || this.next === null;
    this.table.hidden = count === 0;
    if (count > 0) this.count.textContent = this.summary();
    else this.count.textContent = isLoading ? "Loading…" : "";
    const isEmpty = !isLoading && count === 0 && this.notice.childElementCount === 0;
    this.empty.hidden = !isEmpty;
    this.empty.textContent = this.type.value
      ? `There is nothing of the type ${this.type.value}.`
      : `${this.entry.display_name} shows this connection nothing yet. Share something with it there, then load again.`;
  }

  summary() {
    const count = this.rows.children.length;
    const rest = this.next === null ? "" : ", and there are more";
    return `${count.toLocaleString()} ${count === 1 ? "item" : "items"}${rest}`;
  }

  tell(problems) {
    if (problems.length === 0) return;
    const sentences = problems.slice(0, 5).map((problem) => element("li", {}, problem.detail ?? problem.code));
    const others = problems.length > 5 ? [element("li", {}, `${problems.length - 5} more`)] : [];
    const title = element("p", {}, "Not everything could be read. What was read is below.");
    this.notice.replaceChildren(element("div", { class: "notice warn" }, title, element("ul", {}, ...sentences, ...others)));
  }

  fail(error) {
    const again = element("button", { type: "button", onclick: () => this.load() }, "Try again");
    const detail = element("p", {}, error.detail ?? "The items could not be loaded.");
    this.notice.replaceChildren(element("div", { class: "notice bad" }, detail, again));
    if (error.status === 424 || error.status === 401) this.page.reload();
  }
}

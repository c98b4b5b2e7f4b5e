// The items of one connection, in a table that fills as they come.

import { keyferry } from "./connect.js";
import { element, outwardLink, when } from "./dom.js";

const PAGE = 100;
const COLUMNS = ["Name", "Type", "In", "Created", "Changed"];
const IN = COLUMNS.indexOf("In");

export class Items {
  /** `page` gives `who()`, `announce(sentence)` and `reload()`; `onclose` is called when the person has had enough. */
  constructor(entry, page, onclose) {
    this.entry = entry;
    this.page = page;
    this.attempt = null;
    this.next = null;
    this.types = new Set();
    // Names by id, and the cells that wait for the name of a parent which comes behind them.
    this.names = new Map();
    this.orphans = new Map();
    this.heading = element("h3", { tabindex: "-1" }, `Items of ${entry.display_name}`);
    this.count = element("p", { class: "count soft" });
    this.type = element("select", { onchange: () => this.load() }, element("option", { value: "" }, "All types"));
    // Where all is of one type there is nothing to choose.
    this.filter = element("label", { class: "field", hidden: true }, element("span", { class: "unseen" }, "Type"), this.type);
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
        this.filter,
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
    if (!isMore) this.clearRows();
    const before = this.rows.children.length;
    const cursor = isMore ? this.next : undefined;
    this.next = null;
    this.notice.replaceChildren();
    this.show(true);
    const options = { ...this.page.who(), type: this.type.value, limit: PAGE, cursor, signal: attempt.signal };
    try {
      const walk = keyferry.items(this.entry.integration, options);
      for (;;) {
        const { value, done } = await walk.next();
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
      this.filter.hidden = this.types.size < 2;
    }
    const name = item.name || item.id;
    const parent = item.parent_path_or_name ?? this.names.get(item.parent_id);
    const contents = [
      element("bdi", { class: "name" }, outwardLink(item.url, name) ?? name),
      item.type ? element("span", { class: "tag" }, item.type) : null,
      parent ? element("bdi", {}, parent) : null,
      when(item.creation_time),
      when(item.last_modified_time),
    ];
    const cells = COLUMNS.map((column, index) => element("td", { role: "cell", "data-column": column, tabindex: index === 0 ? "-1" : null, class: "none" }));
    cells.forEach((cell, index) => contents[index] && this.fill(cell, contents[index]));
    this.rows.append(element("tr", { role: "row" }, ...cells));
    if (!parent && item.parent_id) this.waitFor(item.parent_id, cells[IN]);
    this.introduce(item.id, name);
    this.table.hidden = false;
    this.count.textContent = this.summary();
  }

  /** Puts something into a cell; a column in which nothing stands is not shown. */
  fill(cell, content) {
    cell.append(content);
    cell.className = "";
    this.table.classList.add(`has${cell.dataset.column}`);
  }

  /** The parent's name goes into this cell when it comes. */
  waitFor(parentId, cell) {
    if (!this.orphans.has(parentId)) this.orphans.set(parentId, []);
    this.orphans.get(parentId).push(cell);
  }

  /** Whoever has this item for a parent shows its name. */
  introduce(id, name) {
    this.names.set(id, name);
    for (const cell of this.orphans.get(id) ?? []) this.fill(cell, element("bdi", {}, name));
    this.orphans.delete(id);
  }

  clearRows() {
    this.rows.replaceChildren();
    this.orphans.clear();
    this.table.className = "";
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
    const sentences = problems.slice(0, 5).map((problem) => element("li", {}, problem.stream ? `${problem.stream}: ` : null, problem.detail ?? problem.code));
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

// Makes elements. Text becomes text and never HTML.

/** An element with attributes (`onclick` and its like are listeners; null and false leave one out) and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A link to another site, if that is what the address is: http or https, and nothing that would run here. */
export function outwardLink(address, text, attributes = {}) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  return element("a", { ...attributes, href: url.href, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** A date as the person writes dates, with the exact time behind it; nothing where there is none. */
export function when(text) {
  const time = text ? new Date(text) : null;
  if (time === null || Number.isNaN(time.getTime())) return null;
  const title = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" }).format(time);
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(time);
  return element("time", { datetime: time.toISOString(), title }, day);
}

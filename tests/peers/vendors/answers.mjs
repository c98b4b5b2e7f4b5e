// What the vendors' files are written with.

import { readFileSync } from 'node:fs';

/** The samples of one vendor, by name. */
export function samples(vendor) {
  return JSON.parse(readFileSync(new URL(`samples/${vendor}.json`, import.meta.url)));
}

/** 200 with a JSON value. */
export function ok(value, headers = {}) {
  return { status: 200, value, headers };
}

/** Any status with a JSON value. */
export function refusal(status, value, headers = {}) {
  return { status, value, headers };
}

/**
 * The first query parameter that is not `allowed`, is empty, or stands twice without being one of `lists`: vendors pass
 * over some of these in silence, and then page one is read for ever.
 */
export function oddParameter(url, allowed, lists = []) {
  const seen = new Set();
  for (const [name, value] of url.searchParams) {
    if (!allowed.includes(name) || value === '' || (seen.has(name) && !lists.includes(name))) return name;
    seen.add(name);
  }
  return undefined;
}

/** A whole number of 1 to `most`, or undefined; `fallback` when there is none. */
export function size(text, most, fallback) {
  if (text === null || text === undefined) return fallback;
  const number = Number(text);
  return Number.isInteger(number) && number >= 1 && number <= most ? number : undefined;
}

/** The object that a body holds, or undefined. */
export function object(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `Authorization: Bearer …`. */
export const BEARER = /^Bearer ([^\s,]+)$/i;

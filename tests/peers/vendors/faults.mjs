// Faults on order: what the next requests meet instead of, or on the way of, a good answer.

import { setTimeout as sleep } from 'node:timers/promises';

// Whether the vendor itself is asked at all.
const MODES = {
  answer: { replaces: true },
  cut: { replaces: true },
  hang: { replaces: true },
  cut_body: {},
  truncated: {},
  slow: {},
  patch: {},
};

export class Faults {
  #ordered = [];

  /**
   * Orders a fault for the `times` requests (null: all) after the next `skip` whose `METHOD target` the regular
   * expression `match` finds; the one that was ordered first goes first. `mode` is one of
   *
   * - `answer`: `status`, `headers` and `body` (text as it is, anything else as JSON, absent for no body);
   * - `cut`: the connection is cut before a byte of the answer; `cut_body`: in the middle of its body;
   * - `hang`: there is never an answer;
   * - `truncated`: the answer's JSON ends in the middle, framed as if that were all;
   * - `slow`: the answer comes in ten pieces, `ms` apart;
   * - `patch`: the answer's JSON gets `patch` merged in (tables merge, null removes a key, other values replace), and
   *   its head gets `headers`.
   */
  order({ match = '', skip = 0, times = 1, mode, ...rest }) {
    if (!(mode in MODES)) throw new Error(`no fault is called ${mode}`);
    this.#ordered.push({ match: new RegExp(match), skip, left: times ?? Infinity, mode, ...MODES[mode], ...rest });
  }

  /** Takes back every fault that is still waiting. */
  clear() {
    this.#ordered = [];
  }

  /** The fault that this request meets. */
  take(method, target) {
    for (const fault of this.#ordered) {
      if (fault.left === 0 || !fault.match.test(`${method} ${target}`)) continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      fault.left -= 1;
      return fault;
    }
    return undefined;
  }
}

/** Sends an answer with what a fault makes of it; `sent` is told the status. */
export async function send(response, answer, fault, sent) {
  switch (fault?.mode) {
    case undefined:
      return whole(response, answer, sent);
    case 'answer':
      return whole(response, { status: fault.status, headers: fault.headers, ...content(fault.body) }, sent);
    case 'patch':
      return whole(response, { ...answer, value: merged(answer.value, fault.patch), headers: { ...answer.headers, ...fault.headers } }, sent);
    case 'truncated': {
      const bytes = bytesOf(answer);
      return whole(response, { ...answer, bytes: bytes.subarray(0, bytes.length / 2) }, sent);
    }
    case 'cut_body': {
      const bytes = bytesOf(answer);
      head(response, answer, bytes, sent);
      return response.write(bytes.subarray(0, bytes.length / 2), () => response.socket.destroy());
    }
    case 'slow': {
      const bytes = bytesOf(answer);
      head(response, answer, bytes, sent);
      const piece = Math.ceil(bytes.length / 10);
      for (let start = 0; start < bytes.length; start += piece) {
        await sleep(fault.ms);
        response.write(bytes.subarray(start, start + piece));
      }
      return response.end();
    }
    case 'cut':
      return response.socket.destroy();
    case 'hang':
      return undefined;
    default:
      throw new Error(`a fault that nobody carries out: ${fault.mode}`);
  }
}

function whole(response, answer, sent) {
  const bytes = bytesOf(answer);
  head(response, answer, bytes, sent);
  response.end(bytes);
}

function head(response, { status, headers }, bytes, sent) {
  sent(status);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers });
}

function bytesOf({ bytes, value }) {
  return bytes ?? (value === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(value)));
}

function content(body) {
  return typeof body === 'string' ? { bytes: Buffer.from(body) } : { value: body };
}

function merged(value, patch) {
  if (!isTable(value) || !isTable(patch)) return patch;
  const result = { ...value };
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) delete result[key];
    else result[key] = merged(value[key], change);
  }
  return result;
}

function isTable(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// The door in front of the authorization server: every request passes here, is counted, and may meet a fault that a test
// ordered. The provider behind is untouched and does not know; what the door breaks, it breaks on the wire.

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { json, read } from '../peer.mjs';

const MODES = new Set(['500', '429', 'hang', 'html', 'drop_before', 'drop_after', 'delay', 'patch', 'answer']);

export class Door {
  #faults = [];
  #log = [];
  #counts = { token: {}, granted: {}, token_errors: {}, faults: {}, revocation: 0, introspection: 0, authorization: 0, discovery: 0, grants_revoked: 0, api: {} };
  #inner;

  /** Header fields that every answer of the provider gets, such as a Cross-Origin-Opener-Policy. */
  headers = {};

  /** `inner`: the port where the provider itself listens. */
  constructor(inner) {
    this.#inner = inner;
  }

  /** What has happened so far, for `GET /_counts`. */
  get counts() {
    return this.#counts;
  }

  /** The token requests so far, without a secret in them, for `GET /_token_requests`. */
  get tokenRequests() {
    return this.#log;
  }

  /** Adds one to a count. */
  count(...path) {
    const last = path.pop();
    const table = path.reduce((node, key) => (node[key] ??= {}), this.#counts);
    table[last] = (table[last] ?? 0) + 1;
  }

  /**
   * Orders a fault: the next `times` requests to `endpoint` (token, revocation, introspection, discovery,
   * authorization, api; for token also with that `grant_type`) meet `mode`:
   *
   * - `500`, `429` (with `retry_after` seconds), `html` (an error page that holds the words invalid_grant), `answer`
   *   (`status` and `body` as given): the provider never sees the request;
   * - `hang`: never answered; `drop_before`: the connection is cut; the provider never sees either;
   * - `drop_after`: the provider does its work and its answer is lost;
   * - `delay`: passed on after `ms`; `patch`: the JSON answer gets `patch` merged in, where null removes a key.
   */
  order({ endpoint = 'token', mode, times = 1, ...rest }) {
    if (!MODES.has(mode)) throw new Error(`no fault is called ${mode}`);
    this.#faults.push({ endpoint, mode, left: times, ...rest });
  }

  /** Takes back every fault that is still waiting. */
  clear() {
    this.#faults = [];
  }

  /** Breaks one request to the API, whose answers do not come through here, if a fault was ordered; says whether. */
  breaks(request, response) {
    const fault = this.#fault('api');
    if (!fault) return false;
    this.count('faults', 'api', fault.mode);
    this.#break(fault, request, response);
    return true;
  }

  /** Passes one request to the provider, or breaks it. */
  async pass(endpoint, request, response) {
    const body = await read(request);
    const grant = endpoint === 'token' ? this.#token(request, body) : undefined;
    if (endpoint && endpoint !== 'token') this.count(endpoint);

    const fault = this.#fault(endpoint, grant);
    if (fault) this.count('faults', endpoint, fault.mode);
    switch (fault?.mode) {
      case undefined:
        return this.#relay(response, await this.#forward(request, body));
      case 'drop_after':
        await this.#forward(request, body);
        return request.socket.destroy();
      case 'delay':
        await sleep(fault.ms);
        return this.#relay(response, await this.#forward(request, body));
      case 'patch':
        return this.#relay(response, patched(await this.#forward(request, body), fault.patch));
      default:
        return this.#break(fault, request, response);
    }
  }

  /** The faults with which the provider never sees the request. */
  #break(fault, request, response) {
    switch (fault.mode) {
      case '500':
        return json(response, 500, { error: 'server_error', error_description: 'a fault that a test ordered' });
      case '429':
        return json(response, 429, { error: 'slow_down' }, fault.retry_after ? { 'retry-after': String(fault.retry_after) } : {});
      case 'html':
        response.writeHead(fault.status ?? 502, { 'content-type': 'text/html' });
        return response.end('<html><body><h1>Bad gateway</h1><p>error: invalid_grant</p></body></html>');
      case 'answer':
        return json(response, fault.status, fault.body);
      case 'hang':
        return undefined;
      case 'drop_before':
        return request.socket.destroy();
      default:
        throw new Error(`the API does not know the fault ${fault.mode}`);
    }
  }

  #fault(endpoint, grant) {
    const index = this.#faults.findIndex(
      (fault) => fault.endpoint === endpoint && (fault.grant_type === undefined || fault.grant_type === grant),
    );
    if (index < 0) return undefined;
    const fault = this.#faults[index];
    fault.left -= 1;
    if (fault.left <= 0) this.#faults.splice(index, 1);
    return fault;
  }

  #token(request, body) {
    const type = request.headers['content-type'] ?? '';
    const form = type.startsWith('application/x-www-form-urlencoded') ? new URLSearchParams(body.toString()) : new URLSearchParams();
    const grant = form.get('grant_type') ?? 'unreadable';
    this.count('token', grant);
    this.#log.push({
      at_ms: Date.now(),
      grant_type: grant,
      content_type: type,
      accept: request.headers.accept ?? null,
      authentication: authentication(request, form),
      parameters: [...form.keys()],
      redirect_uri: form.get('redirect_uri'),
      scope: form.get('scope'),
    });
    return grant;
  }

  #relay(response, { status, rawHeaders, bytes }) {
    const added = Object.entries(this.headers).flat();
    response.writeHead(status, [...withoutFraming(rawHeaders), ...added, 'content-length', String(bytes.length)]);
    response.end(bytes);
  }

  #forward(request, body) {
    return new Promise((resolve, reject) => {
      const headers = withoutFraming(request.rawHeaders);
      if (body.length > 0) headers.push('content-length', String(body.length));
      const outbound = http.request(
        { host: '127.0.0.1', port: this.#inner, method: request.method, path: request.url, headers, agent: false, setHost: false },
        (answer) => read(answer).then((bytes) => resolve({ status: answer.statusCode, rawHeaders: answer.rawHeaders, bytes }), reject),
      );
      outbound.on('error', reject);
      outbound.end(body);
    });
  }
}

function authentication(request, form) {
  if (/^basic /i.test(request.headers.authorization ?? '')) return 'client_secret_basic';
  if (form.has('client_secret')) return 'client_secret_post';
  if (form.has('client_assertion')) return 'private_key_jwt';
  return 'none';
}

function patched(answer, patch) {
  const body = { ...JSON.parse(answer.bytes.toString()), ...patch };
  for (const [key, value] of Object.entries(body)) if (value === null) delete body[key];
  return { ...answer, bytes: Buffer.from(JSON.stringify(body)) };
}

// Each hop frames its own message; all other headers pass as they came.
function withoutFraming(rawHeaders) {
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!/^(connection|keep-alive|transfer-encoding|content-length|expect)$/i.test(rawHeaders[i])) kept.push(rawHeaders[i], rawHeaders[i + 1]);
  }
  return kept;
}

// Airtable: two pages of bases, and the tables of each; those of the third are forbidden.

import { BEARER, oddParameter, ok, refusal, samples } from './answers.mjs';

const SAMPLES = samples('airtable');
const TABLES = /^\/v0\/meta\/bases\/([^/]+)\/tables$/;

export const airtable = {
  owns: /^\/v0\//,
  bearer: BEARER,

  unauthorized() {
    return refusal(401, SAMPLES.e401);
  },

  answer({ method, url }) {
    if (method !== 'GET') return refusal(404, SAMPLES.e404);
    if (url.pathname === '/v0/meta/bases') return bases(url);
    const base = TABLES.exec(url.pathname)?.[1];
    if (!base) return refusal(404, SAMPLES.e404);
    if (oddParameter(url, ['include'])) return invalid();
    const tables = SAMPLES[`tables.${base}`];
    if (tables) return ok(tables);
    return base === SAMPLES['bases.2'].bases[0].id ? refusal(403, SAMPLES.e403) : refusal(404, SAMPLES.e404);
  },
};

function bases(url) {
  if (oddParameter(url, ['offset'])) return invalid();
  const offset = url.searchParams.get('offset');
  if (offset === null) return ok(SAMPLES['bases.1']);
  return offset === SAMPLES['bases.1'].offset ? ok(SAMPLES['bases.2']) : invalid();
}

function invalid() {
  return refusal(422, { error: { type: 'INVALID_REQUEST_UNKNOWN', message: 'Invalid request: parameter validation failed.' } });
}

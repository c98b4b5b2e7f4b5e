// Notion's search: two pages under the present version; under that of 2022, which knows no data sources, one.

import { BEARER, object, oddParameter, ok, refusal, samples, size } from './answers.mjs';

const SAMPLES = samples('notion');
const OLD = '2022-06-28';
const VERSIONS = [OLD, '2025-09-03', '2026-03-11'];
const KEYS = ['query', 'sort', 'filter', 'start_cursor', 'page_size'];
const MOST = 100;

export const notion = {
  owns: /^\/v1\/search$/,
  bearer: BEARER,

  unauthorized() {
    return refusal(401, SAMPLES.e401);
  },

  answer({ method, url, headers, body }) {
    if (method !== 'POST') return refusal(404, error(404, 'invalid_request_url', 'Invalid request URL.'));
    if (!headers['notion-version']) return refusal(400, SAMPLES.e400_version);
    if (!VERSIONS.includes(headers['notion-version'])) return invalid('Notion-Version is not one of them');
    if (oddParameter(url, [])) return invalid('a search takes nothing from the query');

    const given = body.length > 0 ? object(body) : {};
    if (!given) return refusal(400, error(400, 'invalid_json', 'Error parsing JSON body.'));
    if (body.length > 0 && !/^application\/json\b/.test(headers['content-type'] ?? '')) return invalid('the body is not said to be JSON');
    const fault = mistake(given);
    if (fault) return invalid(fault);
    if (headers['notion-version'] === OLD) return ok(oldSearch());
    if (!('start_cursor' in given)) return ok(SAMPLES['search.1']);
    return given.start_cursor === SAMPLES['search.1'].next_cursor
      ? ok(SAMPLES['search.2'])
      : invalid('start_cursor provided is invalid');
  },
};

/** What is wrong with a search's body. */
export function mistake(given, most = MOST) {
  const unknown = Object.keys(given).find((key) => !KEYS.includes(key));
  if (unknown) return `body.${unknown} should be not present`;
  if ('page_size' in given && (typeof given.page_size !== 'number' || !size(given.page_size, most))) return `page_size is from 1 to ${most}`;
  if ('start_cursor' in given && (typeof given.start_cursor !== 'string' || given.start_cursor === '')) return 'start_cursor is a text or is left out';
  const { timestamp, direction } = given.sort ?? { timestamp: 'last_edited_time', direction: 'ascending' };
  if (timestamp !== 'last_edited_time' || !['ascending', 'descending'].includes(direction)) return 'sort is not one of those';
  return undefined;
}

function oldSearch() {
  const all = [...SAMPLES['search.1'].results, ...SAMPLES['search.2'].results];
  const results = all.filter((record) => record.properties).map((record) => (record.object === 'data_source' ? SAMPLES.database_2022 : record));
  return { object: 'list', results, next_cursor: null, has_more: false, type: 'page_or_database', page_or_database: {} };
}

/** A refusal of what was asked. */
export function invalid(message) {
  return refusal(400, error(400, 'validation_error', message));
}

function error(status, code, message) {
  return { object: 'error', status, code, message, request_id: '0a1b2c3d-0000-4000-8000-00000000000f' };
}

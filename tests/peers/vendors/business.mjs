// Work and money: Jira, Dropbox, Linear, Stripe. Two pages each, with the vendor's own way from the first to the second.

import { BEARER, object, oddParameter, ok, refusal, size } from './answers.mjs';

const SITE = '5f0c2b9e-cloud-0001';
const PROJECTS = [
  { id: '10000', key: 'OPS', name: 'Operations', projectTypeKey: 'software', self: `https://api.atlassian.com/ex/jira/${SITE}/rest/api/3/project/10000` },
  { id: '10001', key: 'HR', name: 'People', projectTypeKey: 'business', self: `https://api.atlassian.com/ex/jira/${SITE}/rest/api/3/project/10001` },
  { id: '10002', key: 'LAB', name: 'Laboratory', projectTypeKey: 'software', self: `https://api.atlassian.com/ex/jira/${SITE}/rest/api/3/project/10002` },
];
const ISSUES = [
  { id: '20000', key: 'OPS-1', fields: { summary: 'Move the office', created: '2026-06-01T10:00:00.000+0200', updated: '2026-11-01T10:00:00.000+0100', project: { id: '10000', key: 'OPS', name: 'Operations' } } },
  { id: '20001', key: 'OPS-2', fields: { summary: 'Label the boxes', created: '2026-06-02T10:00:00.000+0200', updated: '2026-11-02T10:00:00.000+0100', project: { id: '10000', key: 'OPS', name: 'Operations' }, parent: { id: '20000', key: 'OPS-1' } } },
];

/** Which sites the token reaches; projects by offset, of which no page is longer than two; issues by `nextPageToken`. */
export const jira = {
  owns: /^\/(ex\/jira\/|oauth\/token\/accessible-resources$)/,
  bearer: BEARER,
  unauthorized: () => refusal(401, { code: 401, message: 'Unauthorized' }),
  answer({ method, url, body }) {
    if (url.pathname === '/oauth/token/accessible-resources') {
      return ok([{ id: SITE, name: 'brightfield', url: 'https://brightfield.atlassian.net', scopes: ['read:jira-work'] }]);
    }
    const below = `/ex/jira/${SITE}/rest/api/3/`;
    if (!url.pathname.startsWith(below)) return refusal(404, { code: 404, message: 'No such site' });
    const what = `${method} ${url.pathname.slice(below.length)}`;
    if (what === 'GET project/search') return projects(url);
    if (what === 'GET search/jql') return issues(url, Object.fromEntries(url.searchParams));
    if (what === 'POST search/jql') return issues(url, object(body) ?? {});
    return refusal(404, { errorMessages: ['Not found'], errors: {} });
  },
};

function projects(url) {
  const odd = oddParameter(url, ['startAt', 'maxResults', 'orderBy', 'expand']);
  const start = Number(url.searchParams.get('startAt') ?? 0);
  const most = size(url.searchParams.get('maxResults'), 100, 50);
  if (odd || most === undefined || !Number.isInteger(start) || start < 0) return refusal(400, { errorMessages: ['Bad request'], errors: {} });
  const values = PROJECTS.slice(start, start + Math.min(most, 2));
  return ok({ maxResults: Math.min(most, 2), startAt: start, total: PROJECTS.length, isLast: start + values.length >= PROJECTS.length, values });
}

function issues(url, { nextPageToken, maxResults }) {
  if (size(maxResults, 5000, 50) === undefined || ![undefined, 'CAEaAggC'].includes(nextPageToken)) return refusal(400, { errorMessages: ['Bad request'], errors: {} });
  return nextPageToken ? ok({ isLast: true, issues: ISSUES.slice(1) }) : ok({ isLast: false, nextPageToken: 'CAEaAggC', issues: ISSUES.slice(0, 1) });
}

const ENTRIES = [
  { '.tag': 'folder', id: 'id:folder01', name: 'Scans', path_lower: '/scans', path_display: '/Scans' },
  { '.tag': 'file', id: 'id:file01', name: 'Lease.pdf', path_lower: '/scans/lease.pdf', path_display: '/Scans/Lease.pdf', client_modified: '2026-05-01T00:00:00Z', server_modified: '2026-05-02T00:00:00Z', size: 10 },
  { '.tag': 'deleted', name: 'Old.txt', path_lower: '/old.txt', path_display: '/Old.txt' },
];

/** `files/list_folder`: page two is at another endpoint, which takes the cursor and nothing beside it. */
export const dropbox = {
  owns: /^\/2\/files\//,
  bearer: BEARER,
  unauthorized: () => refusal(401, { error_summary: 'expired_access_token/..', error: { '.tag': 'expired_access_token' } }),
  answer({ method, url, headers, body }) {
    const given = object(body);
    const isJson = /^application\/json\b/.test(headers['content-type'] ?? '');
    if (method !== 'POST' || !given || !isJson) return { status: 400, bytes: Buffer.from('Error in call to API function: the body is not JSON') };
    const keys = Object.keys(given).sort().join();
    if (url.pathname === '/2/files/list_folder') {
      const allowed = ['path', 'recursive', 'limit', 'include_deleted', 'include_media_info', 'include_mounted_folders', 'include_has_explicit_shared_members', 'include_non_downloadable_files'];
      const odd = Object.keys(given).find((key) => !allowed.includes(key));
      if (odd || typeof given.path !== 'string' || given.path === '/' || size(given.limit, 2000, 500) === undefined) {
        return { status: 400, bytes: Buffer.from(`Error in call to API function "files/list_folder": ${odd ?? 'path or limit'}`) };
      }
      return ok({ entries: ENTRIES.slice(0, 1), cursor: 'AAHcursor_01', has_more: true });
    }
    if (url.pathname !== '/2/files/list_folder/continue') return refusal(404, { error_summary: 'not_found/..', error: { '.tag': 'not_found' } });
    if (keys !== 'cursor' || given.cursor !== 'AAHcursor_01') return { status: 400, bytes: Buffer.from(`Error in call to API function "files/list_folder/continue": ${keys}`) };
    // A cursor is given on the last page too: the next listing could begin there.
    // What is gone is only told to those who asked for it.
    return ok({ entries: ENTRIES.slice(1).filter((entry) => entry['.tag'] !== 'deleted'), cursor: 'AAHcursor_02', has_more: false });
  },
};

const LINEAR = [
  { id: 'iss-1', identifier: 'ENG-1', title: 'Ship it', url: 'https://linear.app/b/issue/ENG-1', createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-02-01T00:00:00.000Z', parent: null, team: { id: 'team-1', name: 'Engineering' }, project: { id: 'prj-1', name: 'Launch' } },
  { id: 'iss-2', identifier: 'ENG-2', title: 'Test it', url: 'https://linear.app/b/issue/ENG-2', createdAt: '2026-01-02T00:00:00.000Z', updatedAt: '2026-02-02T00:00:00.000Z', parent: { id: 'iss-1' }, team: { id: 'team-1', name: 'Engineering' }, project: null },
];

const LINEAR_PROJECTS = [
  { id: 'prj-1', name: 'Launch', url: 'https://linear.app/b/project/launch', createdAt: '2026-01-03T00:00:00.000Z', updatedAt: '2026-02-03T00:00:00.000Z' },
];

/** GraphQL: the cursor is a variable, which may be null on page one; refusals are in `errors`. */
export const linear = {
  owns: /^\/graphql$/,
  bearer: BEARER,
  unauthorized: () => refusal(401, { errors: [{ message: 'Authentication required, not authenticated', extensions: { code: 'AUTHENTICATION_ERROR' } }] }),
  answer({ method, headers, body }) {
    const given = object(body);
    const isJson = /^application\/json\b/.test(headers['content-type'] ?? '');
    const braces = given && typeof given.query === 'string' && given.query.split('{').length === given.query.split('}').length;
    if (method !== 'POST' || !isJson || !braces) return graphqlError('Syntax Error');
    const kind = /\b(projects|issues)\s*\(/.exec(given.query)?.[1];
    if (!kind) return graphqlError('Cannot query that field on type "Query".');
    const { after = null, first = 50 } = given.variables ?? {};
    if (size(first, 250) === undefined) return graphqlError('first is from 1 to 250');
    if (kind === 'projects') return ok({ data: { projects: { nodes: LINEAR_PROJECTS, pageInfo: { hasNextPage: false, endCursor: 'prj-1-cursor' } } } });
    if (![null, 'iss-1-cursor'].includes(after)) return graphqlError('after is not one that was given out');
    const last = after !== null;
    const pageInfo = last ? { hasNextPage: false, endCursor: 'iss-2-cursor' } : { hasNextPage: true, endCursor: 'iss-1-cursor' };
    return ok({ data: { issues: { nodes: last ? LINEAR.slice(1) : LINEAR.slice(0, 1), pageInfo } } });
  },
};

function graphqlError(message) {
  return refusal(400, { errors: [{ message, extensions: { code: 'INVALID_INPUT' } }] });
}

const CUSTOMERS = [
  { id: 'cus_A', object: 'customer', name: 'Brightfield Ltd', email: 'pay@brightfield.test', created: 1760000000, livemode: false },
  { id: 'cus_B', object: 'customer', name: null, email: 'jun@northquay.test', created: 1761000000, livemode: false },
  { id: 'cus_C', object: 'customer', name: null, email: null, created: 1762000000, livemode: false },
];

const PRODUCTS = [
  { id: 'prod_A', object: 'product', name: 'Handbook', active: false, created: 1760000000, updated: 1761000000, livemode: false },
];

/** Customers and products: the next page starts after the last record's id. */
export const stripe = {
  owns: /^\/v1\/(customers|products)$/,
  bearer: BEARER,
  unauthorized: () => refusal(401, { error: { message: 'Invalid API Key provided', type: 'invalid_request_error' } }),
  answer({ method, url }) {
    if (method !== 'GET') return refusal(404, { error: { type: 'invalid_request_error' } });
    const odd = oddParameter(url, ['limit', 'starting_after', 'ending_before']);
    const all = url.pathname.endsWith('products') ? PRODUCTS : CUSTOMERS;
    const after = url.searchParams.get('starting_after');
    const begin = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    if (odd || size(url.searchParams.get('limit'), 100, 10) === undefined || (after !== null && begin === 0)) {
      return refusal(400, { error: { type: 'invalid_request_error', param: odd ?? 'starting_after' } });
    }
    const data = all.slice(begin, begin + 2);
    return ok({ object: 'list', url: url.pathname, has_more: begin + data.length < all.length, data });
  },
};

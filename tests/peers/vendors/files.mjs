// Where files and their talk lie: Google Drive, GitHub, OneDrive, Slack. Two pages each, with the vendor's own way from
// the first to the second.

import { BEARER, oddParameter, ok, refusal, size } from './answers.mjs';

const FOLDER = 'application/vnd.google-apps.folder';
const DRIVE_FILES = [
  { kind: 'drive#file', id: '1FolderPlans', name: 'Plans', mimeType: FOLDER, parents: ['0ARootOfAda'], createdTime: '2026-02-01T08:00:00.000Z', modifiedTime: '2026-11-02T09:30:00.000Z', webViewLink: 'https://drive.google.com/drive/folders/1FolderPlans', trashed: false },
  { kind: 'drive#file', id: '1SheetBudget', name: 'Budget 2027', mimeType: 'application/vnd.google-apps.spreadsheet', parents: ['1FolderPlans'], createdTime: '2026-03-01T08:00:00.000Z', modifiedTime: '2026-11-03T09:30:00.000Z', webViewLink: 'https://docs.google.com/spreadsheets/d/1SheetBudget/edit', trashed: false },
  { kind: 'drive#file', id: '1TeamPdf', name: 'Lease.pdf', mimeType: 'application/pdf', driveId: '0ATeamDrive', parents: ['0ATeamDrive'], createdTime: '2026-04-01T08:00:00.000Z', modifiedTime: '2026-04-01T08:00:00.000Z', webViewLink: 'https://drive.google.com/file/d/1TeamPdf/view', trashed: false },
];

/** `files.list`: `pageToken`; a field that is not asked for does not come. */
export const drive = {
  owns: /^\/drive\/v3\//,
  bearer: BEARER,
  unauthorized: () => refusal(401, googleError(401, 'authError', 'Invalid Credentials')),
  answer({ method, url }) {
    if (method !== 'GET' || url.pathname !== '/drive/v3/files') return refusal(404, googleError(404, 'notFound', 'Not Found'));
    const allowed = ['pageSize', 'pageToken', 'fields', 'q', 'orderBy', 'spaces', 'corpora', 'supportsAllDrives', 'includeItemsFromAllDrives'];
    const odd = oddParameter(url, allowed);
    const { pageToken, pageSize, fields } = Object.fromEntries(url.searchParams);
    if (odd || size(pageSize, 1000, 100) === undefined || ![undefined, '~!!~page two'].includes(pageToken)) {
      return refusal(400, googleError(400, 'invalid', `Invalid Value ${odd ?? ''}`));
    }
    const wanted = fields ? /files\(([^)]*)\)/.exec(fields)?.[1].split(/,\s*/) : ['kind', 'id', 'name', 'mimeType'];
    const page = pageToken ? DRIVE_FILES.slice(2) : DRIVE_FILES.slice(0, 2);
    const more = !pageToken && (!fields || fields.includes('nextPageToken'));
    const files = page.map((file) => Object.fromEntries(Object.entries(file).filter(([name]) => wanted?.includes(name))));
    return ok({ ...(more && { nextPageToken: '~!!~page two' }), files });
  },
};

function googleError(code, reason, message) {
  return { error: { code, message, errors: [{ domain: 'global', reason, message }] } };
}

const REPOSITORIES = [
  { id: 811, full_name: 'brightfield/site', name: 'site', private: false, owner: { login: 'brightfield', id: 7 }, html_url: 'https://github.com/brightfield/site', created_at: '2025-01-02T03:04:05Z', updated_at: '2026-11-01T00:00:00Z', archived: false },
  { id: 812, full_name: 'brightfield/ledger', name: 'ledger', private: true, owner: { login: 'brightfield', id: 7 }, html_url: 'https://github.com/brightfield/ledger', created_at: '2025-02-02T03:04:05Z', updated_at: '2026-10-01T00:00:00Z', archived: false },
  { id: 813, full_name: 'ada/notes', name: 'notes', private: true, owner: { login: 'ada', id: 8 }, html_url: 'https://github.com/ada/notes', created_at: '2025-03-02T03:04:05Z', updated_at: '2026-09-01T00:00:00Z', archived: true },
];

/** `/user/repos`: the `Link` header, with more than one relation in it; nobody without a `User-Agent`. */
export const github = {
  owns: /^\/(user|repos)(\/|$)/,
  bearer: /^(?:Bearer|token) ([^\s,]+)$/i,
  unauthorized: () => refusal(401, { message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest', status: '401' }),
  answer({ method, url, headers }) {
    if (!headers['user-agent']) return refusal(403, { message: 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.' });
    if (method !== 'GET' || url.pathname !== '/user/repos') return refusal(404, { message: 'Not Found', status: '404' });
    const odd = oddParameter(url, ['per_page', 'page', 'visibility', 'affiliation', 'type', 'sort', 'direction']);
    const page = size(url.searchParams.get('page'), 2, 1);
    if (odd || size(url.searchParams.get('per_page'), 100, 30) === undefined || page === undefined) return refusal(422, { message: 'Validation Failed' });
    const at = (number) => {
      const target = new URL(url);
      target.searchParams.set('page', number);
      return target.href;
    };
    const link = page === 1 ? `<${at(2)}>; rel="next", <${at(2)}>; rel="last"` : `<${at(1)}>; rel="prev", <${at(1)}>; rel="first"`;
    return ok(page === 1 ? REPOSITORIES.slice(0, 2) : REPOSITORIES.slice(2), { link });
  },
};

const DRIVE_ID = 'b!drive0001';
const CHILDREN = [
  { id: '01FOLDER', name: 'Reports', createdDateTime: '2026-01-01T00:00:00Z', lastModifiedDateTime: '2026-05-01T00:00:00Z', webUrl: 'https://onedrive.example/Reports', folder: { childCount: 1 }, parentReference: { driveId: DRIVE_ID, id: '01ROOT', path: '/drive/root:' } },
  { id: '01FILE', name: 'Q3.docx', createdDateTime: '2026-01-02T00:00:00Z', lastModifiedDateTime: '2026-05-02T00:00:00Z', webUrl: 'https://onedrive.example/Reports/Q3.docx', file: { mimeType: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document' }, parentReference: { driveId: DRIVE_ID, id: '01FOLDER', path: '/drive/root:/Reports' } },
  { id: '01GONE', deleted: { state: 'deleted' }, parentReference: { driveId: DRIVE_ID, id: '01ROOT' } },
];

/** The whole next URL in the body, `$skiptoken` and all; the last page has the delta's instead. */
export const onedrive = {
  owns: /^\/v1\.0\//,
  bearer: BEARER,
  unauthorized: () => refusal(401, { error: { code: 'InvalidAuthenticationToken', message: 'Access token has expired or is not yet valid.' } }),
  answer({ method, url }) {
    const isList = /^\/v1\.0\/me\/drive\/root\/(children|delta)$/.test(url.pathname);
    if (method !== 'GET' || !isList) return refusal(404, { error: { code: 'itemNotFound', message: 'The resource could not be found.' } });
    const odd = oddParameter(url, ['$skiptoken', '$top', '$select']);
    const token = url.searchParams.get('$skiptoken');
    if (odd || ![null, 'page+two=='].includes(token)) return refusal(400, { error: { code: 'invalidRequest', message: 'Invalid request' } });
    const here = `${url.origin}${url.pathname}`;
    return token === null
      ? ok({ '@odata.context': `${url.origin}/v1.0/$metadata#driveItems`, '@odata.nextLink': `${here}?$skiptoken=page%2Btwo%3D%3D`, value: CHILDREN.slice(0, 1) })
      : ok({ '@odata.context': `${url.origin}/v1.0/$metadata#driveItems`, '@odata.deltaLink': `${here}?token=delta-0001`, value: CHILDREN.slice(1) });
  },
};

const CHANNELS = [
  { id: 'C01GENERAL', name: 'general', is_channel: true, is_private: false, is_archived: false, created: 1760000000, updated: 1763000000123 },
  { id: 'C02LAUNCH', name: 'launch', is_channel: true, is_private: true, is_archived: false, created: 1761000000, updated: 1763100000456 },
];

/** `conversations.list`: refusals are 200 with `ok: false`, and an empty cursor is the end. */
export const slack = {
  owns: /^\/api\/conversations\./,
  bearer: BEARER,
  unauthorized: () => ok({ ok: false, error: 'invalid_auth' }),
  answer({ method, url }) {
    if (!['GET', 'POST'].includes(method) || url.pathname !== '/api/conversations.list') return ok({ ok: false, error: 'unknown_method' });
    const odd = oddParameter(url, ['cursor', 'limit', 'types', 'exclude_archived']);
    if (odd || size(url.searchParams.get('limit'), 1000, 100) === undefined) return ok({ ok: false, error: 'invalid_arguments' });
    const cursor = url.searchParams.get('cursor');
    if (![null, 'dGVhbTpDMDI='].includes(cursor)) return ok({ ok: false, error: 'invalid_cursor' });
    return cursor === null
      ? ok({ ok: true, channels: CHANNELS.slice(0, 1), response_metadata: { next_cursor: 'dGVhbTpDMDI=' } })
      : ok({ ok: true, channels: CHANNELS.slice(1), response_metadata: { next_cursor: '' } });
  },
};

// Answers in the shapes of four vendors' APIs, read from their reference pages: enough for their SDKs to take them as
// real, with two pages wherever a list is paged, so that a paging SDK has to come back with what it was given.

const NOTION_TIME = '2026-01-02T03:04:05.000Z';

const ROUTES = [
  // Notion
  ['GET', /^\/v1\/users\/me$/, () => ok({ object: 'user', id: uuid(1), type: 'bot', name: 'Keyferry', bot: {} })],
  ['POST', /^\/v1\/search$/, (_, body) => notionList(body.start_cursor, [notionPage(2)], [notionPage(3)])],
  ['GET', /^\/v1\/blocks\/[^/]+\/children$/, (url) => notionList(url.searchParams.get('start_cursor'), [notionBlock(4), notionBlock(5)], [notionBlock(6)])],
  ['GET', /^\/v1\/pages\/[^/]+$/, (url) => (url.pathname.endsWith(uuid(404)) ? notionMissing() : ok(notionPage(2)))],
  ['POST', /^\/v1\/pages$/, () => ok(notionPage(7))],
  ['PATCH', /^\/v1\/pages\/[^/]+$/, () => ok(notionPage(2))],

  // HubSpot
  ['GET', /^\/crm\/(v3|objects\/[\d-]+)\/(objects\/)?contacts$/, (url) => hubspotPage(url.searchParams.get('after'))],
  ['POST', /^\/crm\/(v3|objects\/[\d-]+)\/(objects\/)?contacts\/search$/, () => ok({ total: 1, results: [contact('101')] })],
  ['GET', /^\/crm\/(v3|objects\/[\d-]+)\/(objects\/)?contacts\/[^/]+$/, () => ok(contact('101'))],
  ['POST', /^\/crm\/(v3|objects\/[\d-]+)\/(objects\/)?contacts$/, (_, body) => created({ ...contact('103'), properties: body.properties })],
  ['PATCH', /^\/crm\/(v3|objects\/[\d-]+)\/(objects\/)?contacts\/[^/]+$/, () => ok(contact('101'))],

  // Airtable
  ['GET', /^\/v0\/meta\/bases\/[^/]+\/tables$/, () => ok({ tables: [{ id: 'tbl1', name: 'A / B', primaryFieldId: 'fld1', fields: [{ id: 'fld1', name: 'Name', type: 'singleLineText' }], views: [] }] })],
  ['GET', /^\/v0\/meta\/bases$/, () => ok({ bases: [{ id: 'app1', name: 'Base', permissionLevel: 'create' }] })],
  ['GET', /^\/v0\/[^/]+\/[^/]+\/rec[^/]+\/?$/, () => ok(record('rec1'))],
  ['GET', /^\/v0\/[^/]+\/[^/]+\/?$/, (url) => airtablePage(url.searchParams.get('offset'))],
  ['POST', /^\/v0\/[^/]+\/[^/]+\/listRecords\/?$/, (_, body) => airtablePage(body.offset)],
  ['POST', /^\/v0\/[^/]+\/[^/]+\/?$/, (_, body) => ok(body.records ? { records: body.records.map((given, index) => ({ ...record(`rec${index + 10}`), fields: given.fields })) } : { ...record('rec10'), fields: body.fields })],
  ['PATCH', /^\/v0\/[^/]+\/[^/]+(\/rec[^/]+)?\/?$/, (_, body) => ok(body.records ? { records: body.records.map((given) => ({ ...record(given.id), fields: given.fields })) } : { ...record('rec1'), fields: body.fields })],
  ['DELETE', /^\/v0\/[^/]+\/[^/]+\/?$/, (url) => ok({ records: url.searchParams.getAll('records[]').map((id) => ({ id, deleted: true })) })],

  // GitHub
  ['GET', /^\/user$/, () => ok({ login: 'octocat', id: 1, type: 'User' }, { 'x-oauth-scopes': 'repo' })],
  ['GET', /^\/repos\/[^/]+\/[^/]+\/contents\/.+$/, (url) => ok({ type: 'file', encoding: 'base64', size: 2, path: url.pathname, content: 'aGk=', sha: 'ce013625030ba8dba906f756967f9e9ca394464a' })],
  ['GET', /^\/repos\/[^/]+\/[^/]+\/git\/ref\/.+$/, () => ok({ ref: 'refs/heads/feature/a', object: { type: 'commit', sha: 'ce013625030ba8dba906f756967f9e9ca394464a' } })],
  ['GET', /^\/repos\/[^/]+\/[^/]+\/issues$/, (url) => githubIssues(url)],
  ['POST', /^\/repos\/[^/]+\/[^/]+\/issues$/, (_, body) => created({ number: 3, title: body.title, state: 'open' })],
  ['PUT', /^\/repos\/[^/]+\/[^/]+\/subscription$/, (_, body) => ok({ subscribed: body.subscribed })],
  ['DELETE', /^\/repos\/[^/]+\/[^/]+\/subscription$/, () => ({ status: 200, value: {} })],
  ['POST', /^\/graphql$/, () => ok({ data: { viewer: { login: 'octocat' } } })],
];

/** The answer to one request: status, JSON value, headers. */
export function answer(method, target, body) {
  const url = new URL(target, 'http://recorder');
  const route = ROUTES.find(([verb, path]) => verb === method && path.test(url.pathname));
  if (!route) return { status: 404, value: { message: `the recorder has no answer for ${method} ${url.pathname}` } };
  return route[2](url, body.length > 0 ? JSON.parse(body) : {});
}

function ok(value, headers = {}) {
  return { status: 200, value, headers };
}

function created(value) {
  return { status: 201, value };
}

function uuid(number) {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

function notionPage(number) {
  return {
    object: 'page',
    id: uuid(number),
    created_time: NOTION_TIME,
    last_edited_time: NOTION_TIME,
    archived: false,
    in_trash: false,
    url: `https://www.notion.so/${number}`,
    parent: { type: 'workspace', workspace: true },
    properties: { title: { id: 'title', type: 'title', title: [{ type: 'text', plain_text: `Page ${number}` }] } },
  };
}

function notionBlock(number) {
  return { object: 'block', id: uuid(number), type: 'divider', divider: {}, has_children: false, created_time: NOTION_TIME, last_edited_time: NOTION_TIME };
}

function notionList(cursor, first, second) {
  const page = cursor ? second : first;
  return ok({ object: 'list', results: page, next_cursor: cursor ? null : uuid(99), has_more: !cursor, type: 'page_or_block' });
}

function notionMissing() {
  return { status: 404, value: { object: 'error', status: 404, code: 'object_not_found', message: 'Could not find page.' } };
}

function contact(id) {
  return { id, properties: { email: `${id}@example.com` }, createdAt: '2026-01-02T03:04:05.000Z', updatedAt: '2026-01-02T03:04:05.000Z', archived: false };
}

function hubspotPage(after) {
  return ok(after ? { results: [contact('102')] } : { results: [contact('101')], paging: { next: { after: 'MTAx+/=', link: '?after=MTAx%2B%2F%3D' } } });
}

function record(id) {
  return { id, createdTime: '2026-01-02T03:04:05.000Z', fields: { Name: id } };
}

function airtablePage(offset) {
  return ok(offset ? { records: [record('rec3')] } : { records: [record('rec1'), record('rec2')], offset: 'itr1/rec2' });
}

function githubIssues(url) {
  const page = Number(url.searchParams.get('page') ?? '1');
  const issue = (number) => ({ number, title: `Issue ${number}`, state: 'open' });
  return ok([issue(page)], { 'x-github-media-type': 'github.v3; format=json' });
}

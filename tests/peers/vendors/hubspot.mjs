// HubSpot: contacts, companies and deals, two pages each.

import { BEARER, oddParameter, ok, refusal, samples, size } from './answers.mjs';

const SAMPLES = samples('hubspot');
const LIST = /^\/crm\/v3\/objects\/(contacts|companies|deals)$/;
const PARAMETERS = ['limit', 'after', 'properties', 'propertiesWithHistory', 'associations', 'archived'];
// With commas between, or again and again, as HubSpot's own SDK sends them.
export const LISTS = ['properties', 'propertiesWithHistory', 'associations'];
const MOST = 100;
// These come whether they are asked for or not.
const ALWAYS = ['createdate', 'lastmodifieddate', 'hs_lastmodifieddate', 'hs_object_id'];

export const hubspot = {
  owns: /^\/crm\//,
  bearer: BEARER,

  unauthorized(why) {
    return refusal(401, why === 'dead' ? SAMPLES.e401_expired : SAMPLES.e401_bad);
  },

  answer({ method, url, body }) {
    const kind = LIST.exec(url.pathname)?.[1];
    if (method !== 'GET' || !kind) return refusal(404, { status: 'error', message: 'resource not found' });
    if (body.length > 0) return invalid('a GET has no body');
    const odd = oddParameter(url, PARAMETERS, LISTS);
    if (odd) return invalid(`${odd} is not taken like this`);

    const query = url.searchParams;
    if (size(query.get('limit'), MOST, 10) === undefined) return invalid('limit is from 1 to 100');
    if (!['true', 'false', null].includes(query.get('archived'))) return invalid('archived is true or false');
    if (query.get('archived') === 'true') return ok({ results: [] });
    const page = pageOf(kind, query.get('after'));
    if (!page) return invalid('after is not one that was given out');
    return ok({ ...page, results: page.results.map((record) => shown(record, query)) });
  },
};

function pageOf(kind, after) {
  const [first, second] = [SAMPLES[`${kind}.1`], SAMPLES[`${kind}.2`]];
  if (after === null) return first;
  return after === first.paging.next.after ? second : undefined;
}

// What was not asked for is not there.
function shown({ properties, associations, ...record }, query) {
  const list = (name) => query.getAll(name).flatMap((text) => text.split(','));
  const wanted = [...ALWAYS, ...list('properties')];
  const related = list('associations').filter((name) => associations?.[name]);
  return {
    ...record,
    properties: Object.fromEntries(Object.entries(properties).filter(([name]) => wanted.includes(name))),
    ...(related.length > 0 && { associations: Object.fromEntries(related.map((name) => [name, associations[name]])) }),
  };
}

function invalid(message) {
  return refusal(400, { status: 'error', message, correlationId: '00000000-0000-4000-8000-000000000000', category: 'VALIDATION_ERROR' });
}

// A great many records of Notion's search or of HubSpot's contacts. A page is rendered once; after that it is copied and
// the digits of its ids are written over, so that this peer is not what a measurement measures.

import { oddParameter, refusal, size } from './answers.mjs';
import { LISTS } from './hubspot.mjs';
import { invalid, mistake } from './notion.mjs';

// Ids are twelve digits, whatever the number of the record.
const FIRST = 100_000_000_000;
const DIGITS = String(FIRST).length;

export class Synthetic {
  #records;
  #most;
  #notion;
  #hubspot;

  /** `records`: how many there are (0: the vendors answer with their samples); `most`: the longest page, 100 unless told. */
  constructor({ records = 0, most = 100 } = {}) {
    this.#records = records;
    this.#most = most;
    if (records === 0) return;
    this.#notion = new Page(most, notionRecord);
    this.#hubspot = new Page(most, contact);
  }

  /** The answer to a call, or undefined when the call is not for these records. */
  answer(call) {
    if (this.#records === 0) return undefined;
    if (call.method === 'POST' && call.url.pathname === '/v1/search') return this.#search(call);
    if (call.method === 'GET' && call.url.pathname.startsWith('/crm/v3/objects/')) return this.#objects(call);
    return undefined;
  }

  #search({ headers, body }) {
    const given = body.length > 0 ? JSON.parse(body) : {};
    const fault = headers['notion-version'] ? mistake(given, this.#most) : 'Notion-Version is missing';
    const start = given.start_cursor === undefined ? 0 : this.#place(given.start_cursor.replace(NOTION_PREFIX, ''));
    if (fault || start === undefined) return invalid(fault ?? 'start_cursor provided is invalid');

    const next = start + this.#length(start, given.page_size ?? this.#most);
    const more = next < this.#records;
    const cursor = more ? `"${NOTION_PREFIX}${FIRST + next}"` : 'null';
    const tail = `],"next_cursor":${cursor},"has_more":${more},"type":"page_or_data_source","page_or_data_source":{}}`;
    return { status: 200, bytes: this.#notion.bytes('{"object":"list","results":[', start, next - start, tail) };
  }

  #objects({ url }) {
    if (!url.pathname.endsWith('/contacts')) return { status: 200, value: { results: [] } };
    const odd = oddParameter(url, ['limit', 'after', 'archived', ...LISTS], LISTS);
    const limit = size(url.searchParams.get('limit'), this.#most, 10);
    const after = url.searchParams.get('after');
    const start = after === null ? 0 : this.#place(after);
    if (odd || limit === undefined || start === undefined) return refusal(400, { status: 'error', message: 'limit or after', category: 'VALIDATION_ERROR' });

    const next = start + this.#length(start, limit);
    const link = `${url.origin}${url.pathname}?limit=${limit}&after=${FIRST + next}`;
    const paging = next < this.#records ? `,"paging":{"next":{"after":"${FIRST + next}","link":"${link}"}}` : '';
    return { status: 200, bytes: this.#hubspot.bytes('{"results":[', start, next - start, `]${paging}}`) };
  }

  #length(start, asked) {
    return Math.min(asked, this.#records - start);
  }

  // The record that a cursor of ours stands for.
  #place(text) {
    const place = Number(text) - FIRST;
    return Number.isInteger(place) && place > 0 && place < this.#records ? place : undefined;
  }
}

// One page of records, and where each record and each of its ids begins.
class Page {
  #template;
  #ends = [];
  #ids = [];

  constructor(length, record) {
    const one = Buffer.from(JSON.stringify(record(String(FIRST))));
    this.#template = Buffer.from(Array(length).fill(one.toString()).join(','));
    for (let index = 0; index < length; index += 1) {
      const begin = index * (one.length + 1);
      this.#ends.push(begin + one.length);
      const places = [];
      for (let place = one.indexOf(String(FIRST)); place >= 0; place = one.indexOf(String(FIRST), place + 1)) places.push(begin + place);
      this.#ids.push(places);
    }
  }

  /** `count` records from number `start` on, between `head` and `tail`. */
  bytes(head, start, count, tail) {
    const end = count === 0 ? 0 : this.#ends[count - 1];
    const bytes = Buffer.allocUnsafe(head.length + end + tail.length);
    bytes.write(head, 0, 'latin1');
    this.#template.copy(bytes, head.length, 0, end);
    for (let index = 0; index < count; index += 1) {
      const id = String(FIRST + start + index);
      for (const place of this.#ids[index]) bytes.write(id, head.length + place, DIGITS, 'latin1');
    }
    bytes.write(tail, head.length + end, 'latin1');
    return bytes;
  }
}

const NOTION_PREFIX = '11111111-aaaa-4aaa-8aaa-';
const PERSON = { object: 'user', id: 'b9f2a0a4-40d5-4d53-8a1b-19a6a3f5a933' };
const PLAIN = { bold: false, italic: false, strikethrough: false, underline: false, code: false, color: 'default' };

function text(content) {
  return { type: 'text', text: { content, link: null }, annotations: PLAIN, plain_text: content, href: null };
}

// A row as in the vendor's own samples: its title is neither first nor called title, and comes in two runs.
function notionRecord(id) {
  return {
    object: 'page',
    id: `${NOTION_PREFIX}${id}`,
    created_time: '2026-02-11T09:30:00.000Z',
    last_edited_time: '2026-11-19T16:40:00.000Z',
    in_trash: false,
    is_archived: false,
    is_locked: false,
    created_by: PERSON,
    last_edited_by: PERSON,
    cover: null,
    icon: null,
    parent: { type: 'data_source_id', data_source_id: '22222222-bbbb-4bbb-8bbb-000000000001', database_id: '33333333-cccc-4ccc-8ccc-000000000001' },
    url: `https://app.notion.com/p/11111111aaaa4aaa8aaa${id}`,
    public_url: null,
    properties: {
      Tags: { id: 'tg', type: 'multi_select', multi_select: [{ id: 't1', name: 'q4', color: 'blue' }] },
      Done: { id: 'dn', type: 'checkbox', checkbox: false },
      Task: { id: 'title', type: 'title', title: [text('Sign lease '), text(id)] },
    },
  };
}

function contact(id) {
  return {
    id,
    properties: { createdate: '2025-03-04T09:12:44.310Z', email: `person.${id}@brightfield.test`, firstname: 'Mira', hs_object_id: id, lastmodifieddate: '2026-10-30T16:01:09.552Z', lastname: `Okafor ${id}` },
    createdAt: '2025-03-04T09:12:44.310Z',
    updatedAt: '2026-10-30T16:01:09.552Z',
    archived: false,
    associations: { companies: { results: [{ id: '9001', type: 'contact_to_company' }, { id: '9001', type: 'contact_to_company_unlabeled' }] } },
  };
}

// What an application writes against connect.js, held to connect.d.ts by `tsc --strict`. Lines marked with
// `@ts-expect-error` are mistakes that the types have to find.

import { KeyferryError, keyferry, type Connection, type Integration, type Item } from './connect.js';

export async function application(session: string, signal: AbortSignal): Promise<Connection | null> {
  const list: Integration[] = await keyferry.list({ session });
  const needed = list.flatMap(({ variables }) => variables.map(({ name, enum: values }) => [name, values[0] ?? ''] as const));
  try {
    const connection = await keyferry.connect('hubspot', {
      session: async () => session,
      variables: Object.fromEntries(needed),
      authorizationParams: { login_hint: 'ada@example.com' },
      scope: ['crm.objects.contacts.read'],
      returnTo: '/returned',
      timeout: 60_000,
      signal,
    });
    const names: (string | null)[] = [];
    const walk = keyferry.items(connection.integration, { session, type: 'Contact', limit: 10 });
    for await (const item of walk) names.push(item.name);
    const end = await keyferry.items('hubspot').next();
    if (end.done) console.log(end.value.next, end.value.problems.map(({ detail }) => detail));
    else console.log((end.value satisfies Item).last_modified_time);
    await keyferry.confirm('hubspot', 'code', { session });
    await keyferry.disconnect('hubspot', { org_id: 'o', user_id: 'u' });
    return connection.status === 'active' ? connection : await keyferry.returned();
  } catch (error) {
    if (error instanceof KeyferryError) console.log(error.code, error.detail, error.status?.toFixed());
    return null;
  }
}

// @ts-expect-error: an integration has a name
void keyferry.connect();
// @ts-expect-error: a window is opened or it is not
void keyferry.connect('hubspot', { popup: true });
// @ts-expect-error: there is no token to be had
void keyferry.connection('hubspot').then(({ access_token }) => access_token);
// @ts-expect-error: one status more
void keyferry.connection('hubspot').then(({ status }) => status === 'pending');

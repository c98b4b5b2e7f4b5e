#!/usr/bin/env node
// npm octokit, unmodified:  node sdk/octokit.mjs BASE_URL TOKEN
// It sends `Authorization: token …`. Prints what the SDK made of the answers, as JSON.

import { Octokit } from 'octokit';

const [baseUrl, auth] = process.argv.slice(2);
const octokit = new Octokit({ auth, baseUrl });
const repository = { owner: 'keyferry', repo: 'a.b_c' };

const me = await octokit.rest.users.getAuthenticated();
const content = await octokit.rest.repos.getContent({ ...repository, path: 'docs/ünï code/50%+#?.md', ref: 'feature/a b' });
// The reference is one path segment with a slash in it, which must stay %2F.
const reference = await octokit.request('GET /repos/{owner}/{repo}/git/ref/{ref}', { ...repository, ref: 'heads/feature/a' });
const pages = [];
for (const page of [1, 2]) pages.push(...(await octokit.rest.issues.listForRepo({ ...repository, labels: 'bug,"good first"', state: 'all', per_page: 1, page })).data);
const created = await octokit.rest.issues.create({ ...repository, title: 'Grüße, 世界', body: 'line\r\nline\u0000' });
const subscribed = await octokit.rest.activity.setRepoSubscription({ ...repository, subscribed: true });
const unsubscribed = await octokit.rest.activity.deleteRepoSubscription(repository);
const graph = await octokit.graphql('query ($n: Int!) { viewer { login repositories(first: $n) { totalCount } } }', { n: 1 });
const missing = await octokit.request('GET /no/such/thing').then(() => 200, (error) => error.status);

console.log(JSON.stringify({
  me: me.data.login,
  scopes: me.headers['x-oauth-scopes'],
  content: content.data.path,
  reference: reference.data.ref,
  issues: pages.map((issue) => issue.number),
  created: created.data.title,
  subscribed: subscribed.data.subscribed,
  unsubscribed: unsubscribed.status,
  graph: graph.viewer.login,
  missing,
}));

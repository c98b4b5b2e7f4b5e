// The page of `page.jsx`, bundled as a development server would, at http://localhost:3000: the origin that the well-known
// front end has.

import http from 'node:http';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { listen } from '../peer.mjs';

const HTML = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Integrations</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/page.js"></script></html>\n';

/** Serves it, and answers the server. */
export async function serve(port) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page.jsx', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const files = {
    '/': ['text/html; charset=utf-8', HTML],
    '/page.js': ['text/javascript; charset=utf-8', outputFiles[0].contents],
  };
  const server = http.createServer((request, response) => {
    const [type, content] = files[request.url] ?? [];
    response.writeHead(type ? 200 : 404, { 'content-type': type ?? 'text/plain' });
    response.end(content);
  });
  await listen(server, port);
  return server;
}

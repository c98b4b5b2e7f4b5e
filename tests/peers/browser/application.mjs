#!/usr/bin/env node
// An application of another origin than Keyferry, whose pages import connect.js from there: `/` has buttons, `/returned`
// is where windows come back to. `?at=` says where Keyferry is. Prints {"url": "http://127.0.0.1:PORT"}.
//
// The same program with other intentions is the hostile page: `/hostile?open=URL` opens that URL and keeps what it hears.

import http from 'node:http';

import { announce, listen, settings } from '../peer.mjs';

const IMPORT = `const where = new URLSearchParams(location.search).get('at');
const { keyferry, KeyferryError } = await import(where + '/integrations/connect.js');`;

const PAGES = {
  '/': `<title>Application</title><button id="connect">Connect</button><script type="module">${IMPORT}
    Object.assign(globalThis, { keyferry, KeyferryError });
    document.querySelector('#connect').addEventListener('click', () => {
      const { integration, ...options } = globalThis.wanted;
      globalThis.ended = keyferry.connect(integration, options).then(
        (connection) => ({ connection }),
        ({ code, detail }) => ({ code, detail }),
      );
    });
    document.body.dataset.ready = '';
  </script>`,
  '/returned': `<title>Returned</title><p>Back</p><script type="module">${IMPORT}
    globalThis.returned = keyferry.returned({ session: sessionStorage.getItem('session') }).then(
      (connection) => ({ connection }),
      ({ code, detail }) => ({ code, detail }),
    );
    document.body.dataset.ready = '';
  </script>`,
  '/hostile': `<title>Hostile</title><button id="open">Open</button><script type="module">
    globalThis.heard = [];
    addEventListener('message', ({ data }) => heard.push(data));
    new BroadcastChannel('keyferry').onmessage = ({ data }) => heard.push(data);
    document.querySelector('#open').addEventListener('click', () => {
      globalThis.opened = open(new URLSearchParams(location.search).get('open'));
    });
    document.body.dataset.ready = '';
  </script>`,
  '/link': `<title>Link</title><a id="link">To the connections</a><script type="module">
    document.querySelector('#link').href = new URLSearchParams(location.search).get('to');
    document.body.dataset.ready = '';
  </script>`,
};

await settings();
const server = http.createServer((request, response) => {
  const page = PAGES[new URL(request.url, 'http://127.0.0.1').pathname];
  response.writeHead(page ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' });
  response.end(page ? `<!doctype html><html lang="en"><link rel="icon" href="data:,"><body>${page}` : '');
});
announce({ url: `http://127.0.0.1:${await listen(server)}` });

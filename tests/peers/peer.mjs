// How a peer starts and ends: its settings come as JSON in the first argument, or as the first line of standard input;
// it says where it listens in one JSON line on standard output, and everything else it has to say goes to standard
// error. Started through standard input, it ends when that closes, so it never outlives the test that started it.

import { createInterface } from 'node:readline';

/** Reads the settings: the first argument when there is one, otherwise the first line of standard input. */
export async function settings() {
  const [argument] = process.argv.slice(2);
  if (argument !== undefined) return JSON.parse(argument);

  const lines = createInterface({ input: process.stdin });
  lines.once('close', () => process.exit(0));
  const first = await new Promise((resolve) => lines.once('line', resolve));
  return JSON.parse(first);
}

/** Listens on `port` of 127.0.0.1 (0: a free one) and answers the port that it got. */
export async function listen(server, port = 0) {
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, backlog: 4096 }, resolve);
  });
  return server.address().port;
}

/** Says, once, where this peer can be reached. */
export function announce(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Reads a whole body. */
export async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Answers with JSON. */
export function json(response, status, body, headers = {}) {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers });
  response.end(bytes);
}

// A front end of the "integrations technical assessment" kind, as small as it can be: the same calls, made in the same
// way, as the page that hundreds of candidates were handed. axios sends FormData to a back end at a fixed address, a
// popup is opened on whatever `authorize` answers, and a timer sees that it has closed. No session, no cookie, no key.

import axios from 'axios';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

const BACK_END = 'http://localhost:8000/integrations';
const INTEGRATIONS = ['Airtable', 'HubSpot', 'Notion'];

/** Posts fields as a browser's form data, and answers the body as axios reads it. */
async function post(integration, action, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  const { data } = await axios.post(`${BACK_END}/${integration.toLowerCase()}/${action}`, form);
  return data;
}

/** Resolves when the person, or the page in it, has closed the window. */
function closed(popup) {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (popup?.closed === false) return;
      clearInterval(timer);
      resolve();
    }, 200);
  });
}

function Page() {
  const [integration, choose] = useState(INTEGRATIONS[0]);
  const [credentials, setCredentials] = useState(null);
  const [loaded, setLoaded] = useState(null);
  const [detail, setDetail] = useState('');

  // Whatever fails, what a person is shown is the answer's `detail`.
  const attempt = (work) => async () => {
    setDetail('');
    await work().catch((error) => setDetail(String(error.response?.data?.detail)));
  };

  const connect = attempt(async () => {
    const person = { user_id: 'TestUser', org_id: 'TestOrg' };
    const url = await post(integration, 'authorize', person);
    await closed(window.open(url, `${integration} Authorization`, 'width=600, height=600'));
    const answer = await post(integration, 'credentials', person);
    if (answer) setCredentials(answer);
  });
  const load = attempt(async () => setLoaded(await post(integration, 'load', { credentials: JSON.stringify(credentials) })));

  const change = (event) => {
    choose(event.target.value);
    setCredentials(null);
    setLoaded(null);
    setDetail('');
  };

  return (
    <main>
      <label>
        Integration <select value={integration} onChange={change}>{INTEGRATIONS.map((name) => <option key={name}>{name}</option>)}</select>
      </label>
      <button onClick={connect}>{credentials ? `${integration} connected` : `Connect to ${integration}`}</button>
      <button onClick={load} disabled={!credentials}>Load data</button>
      <button onClick={() => setLoaded(null)}>Clear data</button>
      <label>
        Loaded data <textarea readOnly rows={12} cols={80} value={loaded ? JSON.stringify(loaded, null, 2) : ''} />
      </label>
      <p role="alert">{detail}</p>
    </main>
  );
}

createRoot(document.getElementById('root')).render(<Page />);

// Reads captured requests as JSON from standard input and checks each with the libraries that its receivers use. Prints one
// JSON object a line: name, library, and what the library said ("" when it accepts).
import { createHash, createHmac, createPublicKey, timingSafeEqual, verify as verifyEd25519 } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { verify as verifyGitHub } from '@octokit/webhooks-methods';
import { HTTP } from 'cloudevents';
import { createVerifier, httpbis } from 'http-message-signatures';
import { Webhook as Standard } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as Svix } from 'svix';

const same = (a, b) => {
  if (a.length !== b.length || !timingSafeEqual(Buffer.from(a), Buffer.from(b))) throw new Error('signatures differ');
};

// As https://docs.slack.dev/authentication/verifying-requests-from-slack says.
function slack(r) {
  const at = r.headers['x-slack-request-timestamp'];
  if (Math.abs(Date.now() / 1000 - at) > 300) throw new Error('too old');
  same(r.headers['x-slack-signature'], 'v0=' + createHmac('sha256', r.secret).update(`v0:${at}:${r.body}`).digest('hex'));
}

// As https://shopify.dev/docs/apps/build/webhooks/verify-deliveries says.
function shopify(r) {
  same(r.headers['x-shopify-hmac-sha256'], createHmac('sha256', r.secret).update(r.body).digest('base64'));
}

// Standard Webhooks v1a, which the libraries of Standard Webhooks do not know.
function ed25519(r) {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(r.public.replace('whpk_', ''), 'base64')]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  const text = `${r.headers['webhook-id']}.${r.headers['webhook-timestamp']}.${r.body}`;
  const list = r.headers['webhook-signature'].split(' ').filter((s) => s.startsWith('v1a,'));
  if (!list.some((s) => verifyEd25519(null, Buffer.from(text), key, Buffer.from(s.slice(4), 'base64')))) throw new Error('signatures differ');
}

function messageKey(r) {
  if (!r.public) return createVerifier(r.secret, 'hmac-sha256');
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(r.public.replace('whpk_', ''), 'base64')]);
  return createVerifier(createPublicKey({ key: der, format: 'der', type: 'spki' }), 'ed25519');
}

async function messageSignatures(r) {
  const digest = 'sha-256=:' + createHash('sha256').update(r.body).digest('base64') + ':';
  same(r.headers['content-digest'], digest);
  const ok = await httpbis.verifyMessage(
    {
      keyLookup: async (params) => (params.keyid === r.keyid ? { id: r.keyid, algs: [params.alg], verify: messageKey(r) } : null),
      requiredFields: ['@method', 'content-type', 'content-digest', 'webhook-id', 'webhook-timestamp'],
      tolerance: 5,
    },
    { method: r.method, url: r.url, headers: r.headers },
  );
  if (ok !== true) throw new Error(`verifyMessage says ${ok}`);
}

function cloudEvent(r) {
  const event = HTTP.toEvent({ headers: r.headers, body: r.body });
  event.validate();
  for (const name of ['id', 'source', 'type', 'subject', 'sequence', 'partitionkey']) {
    const want = r.event[name];
    if (event[name] !== want) throw new Error(`${name} is ${JSON.stringify(event[name])}, sent was ${JSON.stringify(want)}`);
  }
  if (Date.parse(event.time) !== Date.parse(r.event.time)) throw new Error(`time is ${event.time}`);
  if (event.data.key !== r.event.subject) throw new Error('data has another key');
}

const checks = {
  standardwebhooks: (r) => new Standard(r.secret).verify(r.body, r.headers),
  svix: (r) => new Svix(r.secret).verify(r.body, r.headers),
  '@octokit/webhooks-methods': async (r) => {
    if (!(await verifyGitHub(r.secret, r.body, r.headers['x-hub-signature-256']))) throw new Error('does not match');
  },
  stripe: (r) => new Stripe('sk_test_none').webhooks.constructEvent(r.body, r.headers['stripe-signature'], r.secret),
  'slack (documented)': slack,
  'shopify (documented)': shopify,
  'ed25519 (documented)': ed25519,
  'http-message-signatures': messageSignatures,
  cloudevents: cloudEvent,
};

for (const r of JSON.parse(readFileSync(0, 'utf8'))) {
  for (const library of r.libraries) {
    let error = '';
    try {
      await checks[library](r);
    } catch (e) {
      error = e.message || String(e);
    }
    console.log(JSON.stringify({ name: r.name, library, error }));
  }
}

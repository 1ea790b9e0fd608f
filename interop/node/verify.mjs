// Reads captured requests as JSON from standard input and checks each with the libraries that its receivers use. Prints one
// JSON object a line: name, library, and what the library said ("" when it accepts).
import { createHash, createHmac, createPublicKey, timingSafeEqual, verify as verifyEd25519 } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { verify as verifyGitHub } from '@octokit/webhooks-methods';
import '@shopify/shopify-api/adapters/node';
import { ApiVersion, shopifyApi } from '@shopify/shopify-api';
import { verifyRequestSignature } from '@slack/events-api';
import { HTTP } from 'cloudevents';
import { verifySignature } from 'http-message-sig';
import { createVerifier, httpbis } from 'http-message-signatures';
import { Webhook as Standard } from 'standardwebhooks';
import Stripe from 'stripe';
import { parseDictionary } from 'structured-headers';
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

function slackLibrary(r) {
  verifyRequestSignature({
    signingSecret: r.secret,
    requestSignature: r.headers['x-slack-signature'],
    requestTimestamp: Number(r.headers['x-slack-request-timestamp']),
    body: r.body,
  });
}

async function shopifyLibrary(r) {
  const api = shopifyApi({
    apiKey: 'none',
    apiSecretKey: r.secret,
    hostName: 'app.example.com',
    apiVersion: Object.values(ApiVersion)[0],
    isEmbeddedApp: false,
    logger: { level: 0 },
  });
  const rawRequest = { method: r.method, url: r.url, headers: r.headers };
  const said = await api.webhooks.validate({ rawBody: r.body, rawRequest, rawResponse: {} });
  if (!said.valid) throw new Error(`${said.reason}: ${said.missingHeaders}`);
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

const ed25519Key = (r) =>
  createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(r.public.replace('whpk_', ''), 'base64')]),
    format: 'der',
    type: 'spki',
  });

// It verifies one label, and wants to be told which when there are several.
async function messageSig(r) {
  const algorithm = r.public ? 'ed25519' : 'hmac-sha256';
  const verify = (data, signature) =>
    r.public
      ? verifyEd25519(null, data, ed25519Key(r), signature)
      : timingSafeEqual(Buffer.from(signature), createHmac('sha256', r.secret).update(data).digest());
  const labels = [...parseDictionary(r.headers['signature-input'])].filter(([, [, params]]) => params.get('keyid') === r.keyid);
  await verifySignature(
    { kind: 'request', method: r.method, targetUri: r.url, fields: Object.entries(r.headers).map(([name, value]) => ({ name, value })) },
    {
      label: labels[0][0],
      policy: {
        algorithms: [algorithm],
        requiredComponents: ['@method', 'content-type', 'content-digest', 'webhook-id', 'webhook-timestamp'],
        requiredParameters: ['created', 'expires', 'keyid', 'nonce', 'tag'],
        maxAge: 300,
      },
      resolveVerifier: () => ({ algorithm, verify }),
    },
  );
}

// The three headers are dictionaries of RFC 9651, and have in them what the specifications want there.
function structuredFields(r) {
  const digest = parseDictionary(r.headers['content-digest']);
  same(Buffer.from(digest.get('sha-256')[0]), createHash('sha256').update(r.body).digest());
  const inputs = parseDictionary(r.headers['signature-input']);
  const signatures = parseDictionary(r.headers.signature);
  if (inputs.size !== signatures.size || ![...inputs.keys()].every((label) => signatures.has(label))) throw new Error('labels differ');
  for (const [items, params] of inputs.values()) {
    if (!items.some(([name]) => name === 'content-digest')) throw new Error('the digest is not covered');
    if (!Number.isInteger(params.get('created')) || params.get('tag') !== 'deltahook') throw new Error('parameters');
  }
}

function cloudEvent(r) {
  const read = HTTP.toEvent({ headers: r.headers, body: r.body });
  const event = Array.isArray(read) ? read[0] : read;
  if (Array.isArray(read) && read.length !== 1) throw new Error(`${read.length} events`);
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
  '@slack/events-api': slackLibrary,
  '@shopify/shopify-api': shopifyLibrary,
  'http-message-signatures': messageSignatures,
  'http-message-sig': messageSig,
  'structured-headers': structuredFields,
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

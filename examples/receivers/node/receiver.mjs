// Receives the webhooks of deltahook: verifies them (Standard Webhooks v1), drops duplicates and outdated states, and
// prints one line for each event. It uses Node's own modules alone.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE = 5 * 60; // seconds that webhook-timestamp may be from our clock
const MAX_BODY = 16 << 20;

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (key.length === 0) {
  console.error("set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…");
  process.exit(1);
}

const done = new Set(); // webhook-ids that were handled; keep yours in the database, for as long as deltahook may replay
const last = new Map(); // sequence of the newest state we have, by record; a column of the record in yours

// The signature is over the raw bytes: collect them before anything parses them.
async function rawBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error("the body is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function verify(headers, body, now) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(now - Number(timestamp)) > TOLERANCE) {
    throw new Error("webhook-timestamp is missing or not of now");
  }
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const want = Buffer.from(`v1,${mac}`);
  const signatures = (headers["webhook-signature"] ?? "").split(" "); // several while a secret is rotated
  const matches = signatures.some((signature) => {
    const given = Buffer.from(signature);
    return given.length === want.length && timingSafeEqual(given, want); // in constant time
  });
  if (!matches) throw new Error("webhook-signature does not match");
  return id;
}

// handle does the work of one event, exactly once and never backwards. In yours the work, done and last are one transaction.
// JSON.parse rounds large numbers: take those from the raw text.
function handle(id, body) {
  const { type, data } = JSON.parse(body.toString("utf8"));
  const record = JSON.stringify([data.source, data.key]);
  let verdict = "applied";
  if (done.has(id)) {
    verdict = "duplicate"; // at least once: it may come again
  } else if (data.sequence <= (last.get(record) ?? 0)) {
    verdict = "outdated"; // a newer state of this record is here already
  } else {
    done.add(id);
    if (data.sequence !== undefined) last.set(record, data.sequence);
  }
  console.log(`${verdict} ${type} key=${JSON.stringify(data.key)} sequence=${data.sequence} ${id}`);
}

const server = createServer(async (request, response) => {
  let status = 400;
  try {
    const body = await rawBody(request);
    status = 401;
    const id = verify(request.headers, body, Date.now() / 1000);
    status = 400;
    handle(id, body);
    response.writeHead(204).end();
  } catch (error) {
    response.writeHead(status, { "content-type": "text/plain" }).end(`${error.message}\n`);
  }
});

const [host, port] = (process.env.LISTEN ?? "127.0.0.1:8080").split(":");
server.listen(Number(port), host, () => {
  console.log(`listening on http://${host}:${server.address().port}`);
});

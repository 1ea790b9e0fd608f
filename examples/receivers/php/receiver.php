<?php

declare(strict_types=1);

// Receives the webhooks of deltahook: verifies them (Standard Webhooks v1), drops duplicates and outdated states, and writes one line for
// each event. It uses PHP alone, behind any web server; what it has seen is in a file here, and belongs into your database.
//
//   php -S 127.0.0.1:8080 receiver.php

const TOLERANCE = 5 * 60; // seconds that webhook-timestamp may be from our clock
const MAX_BODY = 16 << 20;

final class BadRequest extends Exception
{
}

function signing_key(): string
{
    $secret = (string) getenv('WEBHOOK_SECRET');
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
    if (!is_string($key) || $key === '') {
        throw new RuntimeException('set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…');
    }
    return $key;
}

/** Gives the id of the event. */
function verify(string $key, string $body, int $now): string
{
    $id = (string) ($_SERVER['HTTP_WEBHOOK_ID'] ?? '');
    $timestamp = (string) ($_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '');
    if (!preg_match('/^\d{1,12}$/D', $timestamp) || abs($now - (int) $timestamp) > TOLERANCE) {
        throw new BadRequest('webhook-timestamp is missing or not of now');
    }
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', (string) ($_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '')) as $given) { // several while a secret is rotated
        if (hash_equals($want, $given)) { // in constant time
            return $id;
        }
    }
    throw new BadRequest('webhook-signature does not match');
}

/** Does the work of one event, exactly once and never backwards. In yours the work and what is remembered are one transaction. */
function handle(string $id, string $body): string
{
    try {
        $event = json_decode($body, false, 512, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
    } catch (JsonException $e) {
        throw new BadRequest('not an event: ' . $e->getMessage());
    }
    $type = $event->type ?? null;
    $data = $event->data ?? null;
    if (!is_string($type) || !is_object($data)) {
        throw new BadRequest('not an event');
    }
    $record = json_encode([$data->source ?? null, $data->key ?? null]);
    $sequence = (int) ($data->sequence ?? 0);
    $memory = fopen((string) (getenv('MEMORY') ?: sys_get_temp_dir() . '/deltahook-receiver.json'), 'c+');
    flock($memory, LOCK_EX);
    $seen = json_decode((string) stream_get_contents($memory), true) ?: ['done' => [], 'last' => []];
    $verdict = 'applied';
    if (isset($seen['done'][$id])) {
        $verdict = 'duplicate'; // at least once: it may come again
    } elseif ($sequence > 0 && $sequence <= ($seen['last'][$record] ?? 0)) {
        $verdict = 'outdated'; // a newer state of this record is here already
    } else {
        $seen['done'][$id] = true;
        $seen['last'][$record] = $sequence;
        rewind($memory);
        ftruncate($memory, 0);
        fwrite($memory, json_encode($seen));
    }
    fclose($memory);
    return sprintf('%s %s key=%s sequence=%d %s', $verdict, $type, json_encode($data->key ?? null), $sequence, $id);
}

try {
    $body = (string) file_get_contents('php://input', false, null, 0, MAX_BODY + 1); // the signature is over the raw bytes
    if (strlen($body) > MAX_BODY) {
        throw new BadRequest('the body is too large');
    }
    $line = handle(verify(signing_key(), $body, time()), $body);
    http_response_code(204);
    file_put_contents('php://stdout', $line . "\n");
} catch (BadRequest $e) {
    http_response_code(400);
    echo $e->getMessage();
}

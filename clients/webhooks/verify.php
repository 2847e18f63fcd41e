<?php
/** Tells whether a webhook comes from Reelgate. Needs nothing but PHP 8: copy it into your program. */

declare(strict_types=1);

namespace Reelgate;

const TIMED_HEADERS = ['x-seedancee2-signature', 'x-nextapi-signature', 'x-webhook-signature'];

/** Its message is `no_signature`, `no_match`, `too_old` or `too_new`. */
final class SignatureError extends \RuntimeException
{
}

/**
 * Returns if one of the secrets signed the body within $tolerance seconds of $now. Throws SignatureError if not.
 * Give file_get_contents('php://input') as body, getallheaders() as headers, and two secrets while you rotate.
 */
function verify(string $rawBody, array $headers, array $secrets, int $tolerance = 300, ?int $now = null): void
{
    $signatures = signaturesIn(array_change_key_case($headers));
    if ($signatures === []) {
        throw new SignatureError('no_signature');
    }
    foreach ($signatures as [$scheme, $timestamp, $prefix, $presented]) {
        foreach ($secrets as $secret) {
            if (!hash_equals(sign($scheme, $secret, $prefix . $rawBody), $presented)) {
                continue;
            }
            $age = ($now ?? time()) - (int) $timestamp;
            if (abs($age) > $tolerance) {
                throw new SignatureError($age > 0 ? 'too_old' : 'too_new');
            }
            return;
        }
    }
    throw new SignatureError('no_match');
}

function signaturesIn(array $headers): array
{
    $found = [];
    // Those of the contracts: t=…,v1=…,v1=…
    foreach (TIMED_HEADERS as $name) {
        $parts = array_map('trim', explode(',', $headers[$name] ?? ''));
        $times = array_values(array_filter($parts, fn ($part) => str_starts_with($part, 't=')));
        $timestamp = substr($times[0] ?? '', 2);
        foreach ($parts as $part) {
            if (str_starts_with($part, 'v1=') && ctype_digit($timestamp)) {
                $found[] = ['v1=', $timestamp, "$timestamp.", $part];
            }
        }
    }
    // That of Standard Webhooks: v1,… v1,…
    $id = $headers['webhook-id'] ?? '';
    $timestamp = $headers['webhook-timestamp'] ?? '';
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $part) {
        if (str_starts_with($part, 'v1,') && $id !== '' && ctype_digit($timestamp)) {
            $found[] = ['v1,', $timestamp, "$id.$timestamp.", $part];
        }
    }
    return $found;
}

/** The contracts' key is the whole secret, that of Standard Webhooks what follows whsec_, decoded. */
function sign(string $scheme, string $secret, string $content): string
{
    if ($scheme === 'v1=') {
        return $scheme . hash_hmac('sha256', $content, $secret);
    }
    $key = base64_decode(substr($secret, strlen('whsec_')));
    return $scheme . base64_encode(hash_hmac('sha256', $content, $key, true));
}

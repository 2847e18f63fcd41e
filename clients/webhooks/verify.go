// Package webhooks tells whether a webhook comes from Reelgate. Needs nothing but Go: copy it into your program.
package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far the time of a signature may be from yours.
const Tolerance = 300 * time.Second

// What Verify returns.
var (
	ErrNoSignature = errors.New("no_signature")
	ErrNoMatch     = errors.New("no_match")
	ErrTooOld      = errors.New("too_old")
	ErrTooNew      = errors.New("too_new")
)

type signature struct{ scheme, timestamp, prefix, presented string }

// Verify returns nil if one of the secrets signed the body, and recently. Give the body as it came, before anything
// parsed it, request.Header.Get as header, and two secrets while you rotate.
func Verify(rawBody []byte, header func(string) string, secrets []string, now time.Time) error {
	signatures := signaturesIn(header)
	if len(signatures) == 0 {
		return ErrNoSignature
	}
	for _, each := range signatures {
		for _, secret := range secrets {
			if !hmac.Equal([]byte(sign(each, secret, rawBody)), []byte(each.presented)) {
				continue
			}
			seconds, err := strconv.ParseInt(each.timestamp, 10, 64)
			if age := now.Sub(time.Unix(seconds, 0)); err != nil || age > Tolerance {
				return ErrTooOld
			} else if age < -Tolerance {
				return ErrTooNew
			}
			return nil
		}
	}
	return ErrNoMatch
}

func signaturesIn(header func(string) string) (found []signature) {
	// Those of the contracts: t=…,v1=…,v1=…
	for _, name := range []string{"X-Seedancee2-Signature", "X-NextAPI-Signature", "X-Webhook-Signature"} {
		timestamp := ""
		parts := strings.Split(header(name), ",")
		for index, part := range parts {
			parts[index] = strings.TrimSpace(part)
			if text, isTime := strings.CutPrefix(parts[index], "t="); isTime && timestamp == "" {
				timestamp = text
			}
		}
		for _, part := range parts {
			if strings.HasPrefix(part, "v1=") && isDigits(timestamp) {
				found = append(found, signature{"v1=", timestamp, timestamp + ".", part})
			}
		}
	}
	// That of Standard Webhooks: v1,… v1,…
	id, timestamp := header("webhook-id"), header("webhook-timestamp")
	for _, part := range strings.Split(header("webhook-signature"), " ") {
		if strings.HasPrefix(part, "v1,") && id != "" && isDigits(timestamp) {
			found = append(found, signature{"v1,", timestamp, id + "." + timestamp + ".", part})
		}
	}
	return found
}

// sign uses the whole secret as the contracts' key, and what follows whsec_, decoded, as that of Standard Webhooks.
func sign(each signature, secret string, rawBody []byte) string {
	key := []byte(secret)
	if each.scheme == "v1," {
		key, _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(each.prefix))
	mac.Write(rawBody)
	if each.scheme == "v1," {
		return each.scheme + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return each.scheme + hex.EncodeToString(mac.Sum(nil))
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

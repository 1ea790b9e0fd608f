package emitter

import (
	"fmt"
	"maps"
	"slices"
)

// The values of the key sign that need more than their name.
const (
	signNone     = "none"
	signRFC9421  = "rfc9421"
	signTemplate = "template"
	signEd25519  = "standard-ed25519"
)

// SignStyles lists the values of the key sign.
func SignStyles() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(layouts()) {
			if !yield(name) {
				return
			}
		}
		_ = yield(signNone) && yield(signRFC9421) && yield(signTemplate)
	})
}

// schemeOf gives the scheme of a style; nil is that of "none".
func schemeOf(style string, o *Signature) (scheme, error) {
	switch style {
	case signNone:
		return nil, nil //nolint:nilnil // no scheme is what the style is about
	case signRFC9421:
		return newMessageSignature(o)
	case signTemplate:
		return newTemplateLayout(o)
	}
	fixed, ok := layouts()[style]
	if !ok {
		return nil, fmt.Errorf("unknown signature style %q", style)
	}
	l := fixed()
	return &l, nil
}

// layouts makes the styles whose layout is fixed.
func layouts() map[string]func() layout {
	return map[string]func() layout{
		"standard": standardLayout, signEd25519: ed25519Layout, "svix": svixLayout,
		"github": githubLayout, "stripe": stripeLayout, "slack": slackLayout, "shopify": shopifyLayout,
	}
}

func standardLayout() layout {
	return base64Encoded(layout{
		content: mustPattern("{id}.{ts}.{body}"), header: headerSignature, join: " ", value: []pattern{mustPattern("v1,{sig}")},
		alg: hmacSHA256, read: standardKey,
	})
}

func ed25519Layout() layout {
	l := standardLayout()
	l.value, l.alg, l.read = []pattern{mustPattern("v1a,{sig}")}, algEd25519, ed25519Key
	return l
}

func svixLayout() layout {
	l := standardLayout()
	l.header = "svix-signature"
	l.extra = []extraHeader{{"svix-id", mustPattern("{id}")}, {"svix-timestamp", mustPattern("{ts}")}}
	return l
}

func githubLayout() layout {
	return hexEncoded(layout{
		content: mustPattern("{body}"), header: "X-Hub-Signature-256", join: ",", value: []pattern{mustPattern("sha256={sig}")},
		extra: []extraHeader{{"X-GitHub-Event", mustPattern("{type}")}, {"X-GitHub-Delivery", mustPattern("{id}")}},
		alg:   hmacSHA256, read: textKey, alone: true,
	})
}

func stripeLayout() layout {
	return hexEncoded(layout{
		content: mustPattern("{ts}.{body}"), header: "Stripe-Signature", join: ",",
		value: []pattern{mustPattern("t={ts}"), mustPattern("v1={sig}")},
		alg:   hmacSHA256, read: textKey,
	})
}

func slackLayout() layout {
	return hexEncoded(layout{
		content: mustPattern("v0:{ts}:{body}"), header: "X-Slack-Signature", join: ",", value: []pattern{mustPattern("v0={sig}")},
		extra: []extraHeader{{"X-Slack-Request-Timestamp", mustPattern("{ts}")}},
		alg:   hmacSHA256, read: textKey, alone: true,
	})
}

func shopifyLayout() layout {
	return base64Encoded(layout{
		content: mustPattern("{body}"), header: "X-Shopify-Hmac-SHA256", join: ",", value: []pattern{mustPattern("{sig}")},
		extra: []extraHeader{{"X-Shopify-Topic", mustPattern("{type}")}, {"X-Shopify-Webhook-Id", mustPattern("{id}")}},
		alg:   hmacSHA256, read: textKey, alone: true,
	})
}

package emitter

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

const vectorWhsk = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="

func templated(edit func(*Signature)) Signature {
	o := DefaultSignature()
	o.Header = "X-Signature"
	edit(&o)
	return o
}

func convoy() Signature {
	return templated(func(o *Signature) { o.Content, o.Value = "{ts},{body}", "t={ts},v1={sig}" })
}

// The published vectors, or those of the providers' own documentation.
func TestEachStyleMakesItsPublishedSignature(t *testing.T) {
	hook0 := map[string]string{"x-event-id": "1a01cb48-5142-4d9b-8f90-d20cca61f0ee", "x-event-type": "service.resource.verb"}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(vectorWhsk, "whsk_"))
	if err != nil {
		t.Fatal(err)
	}
	const (
		v1a   = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
		slack = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner" +
			"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	)
	tests := []struct {
		name, style, secret, body string
		at                        int64
		signature                 Signature
		header, want              string
	}{
		{name: "v1", style: "standard", header: "webhook-signature", want: vectorV1},
		{name: "v1a", style: "standard-ed25519", secret: vectorWhsk, header: "webhook-signature", want: v1a},
		{name: "v1a of the seed", style: "standard-ed25519", secret: "whsk_" + base64.StdEncoding.EncodeToString(seed[:32]), header: "webhook-signature", want: v1a},
		{name: "svix", style: "svix", header: "svix-signature", want: vectorV1},
		{
			name: "github", style: "github", secret: "It's a Secret to Everybody", body: "Hello, World!", header: "X-Hub-Signature-256",
			want: "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		},
		{name: "github, whsec_", style: "github", header: "X-Hub-Signature-256", want: "sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c"},
		{name: "T22 stripe", style: "stripe", header: "Stripe-Signature", want: "t=1614265330,v1=2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964"},
		{
			name: "slack", style: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5", at: 1531420618, body: slack, header: "X-Slack-Signature",
			want: "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
		},
		{name: "slack, whsec_", style: "slack", header: "X-Slack-Signature", want: "v0=cddefca50684fde6ab7a4b4868a953cc180e93a68f4ad4f0a13b91731cd987fa"},
		{name: "shopify", style: "shopify", secret: "shop-secret", body: `{"id":1}`, header: "X-Shopify-Hmac-SHA256", want: "plW8VGqq0nDMIEhDqaNNW99asdUCy7EIqLZVcQwtAZ0="},
		{name: "shopify, whsec_", style: "shopify", header: "X-Shopify-Hmac-SHA256", want: "gOyKic480iEzoQZsrstNBP6nRnZXyFFNcX7ELDilyUw="},
		{
			name: "T9 D5 D7 convoy, compacted", style: "template", secret: "secret", at: 1257894000, body: `{"b":{},"e":"123","a":1}`, signature: convoy(), header: "X-Signature",
			want: "t=1257894000,v1=c97c302e4a991a7d4a72b60c3f9a0c3adb3611cd0acc632994a72ace04d6509c",
		},
		{
			name: "T9 D5 convoy, real bytes", style: "template", secret: "secret", at: 1257894000, body: `{"b": {}, "e": "123", "a": 1}`, signature: convoy(), header: "X-Signature",
			want: "t=1257894000,v1=22d175a6",
		},
		{
			name: "hook0 v0", style: "template", secret: "secret", at: 1636936200, body: "hello !", header: "X-Signature",
			signature: templated(func(o *Signature) { o.Content, o.Value = "{ts}.{body}", "t={ts},v0={sig}" }),
			want:      "t=1636936200,v0=1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98",
		},
		{
			name: "hook0 v1", style: "template", secret: "secret", at: 1636936200, body: "hello !", header: "X-Signature",
			signature: templated(func(o *Signature) {
				o.Headers = hook0
				o.Content = "{ts}.x-event-id x-event-type.{header:x-event-id}.{header:x-event-type}.{body}"
				o.Value = "t={ts},h=x-event-id x-event-type,v1={sig}"
			}),
			want: "t=1636936200,h=x-event-id x-event-type,v1=bc521546ba5de381b12f135782d2008b028c3065c191760b12b76850a8fc8f51",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := vector()
			secret := vectorSecret
			if tt.secret != "" {
				secret = tt.secret
			}
			if tt.body != "" {
				m.Body = []byte(tt.body)
			}
			if tt.at != 0 {
				m.At = time.Unix(tt.at, 0)
			}
			h := signedAs(t, SignOptions{Style: tt.style, Signature: tt.signature, Keys: signingKeys(secret)}, m)
			if got := h[tt.header]; len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Fatalf("%s: %q, want %q", tt.header, got, tt.want)
			}
			if h["webhook-id"] == nil || h["webhook-timestamp"] == nil {
				t.Errorf("no id or time: %v", h)
			}
			r := &Received{Method: m.Method, URL: m.URL, Header: h, Body: m.Body}
			o := VerifyOptions{Style: tt.style, Signature: tt.signature, Secrets: []string{secret}, Now: m.At, Tolerance: DefaultTolerance}
			if err := VerifyRequest(r, o); err != nil {
				t.Errorf("own signature: %v", err)
			}
		})
	}
}

func TestTheVectorsOfRFC9421(t *testing.T) {
	hmacKey, err := decodedKey("base64")("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	edKey, err := ed25519Key("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF")
	if err != nil {
		t.Fatal(err)
	}
	at := &target{method: "POST", url: "https://example.com/foo?param=Value&Pet=dog", header: http.Header{
		"Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"}, "Content-Length": {"18"},
	}}
	tests := []struct {
		name, rest, want string
		alg              algorithm
		key              keyMaterial
		components       []string
	}{
		{
			name: "B.2.5", alg: hmacSHA256, key: hmacKey, components: []string{"date", "@authority", "content-type"},
			rest: `;created=1618884473;keyid="test-shared-secret"`, want: "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
		},
		{
			name: "B.2.6", alg: algEd25519, key: edKey, components: []string{"date", "@method", "@path", "@authority", "content-type", "content-length"},
			rest: `;created=1618884473;keyid="test-key-ed25519"`, want: "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
		},
	}
	for _, tt := range tests {
		base, err := signatureBase(tt.components, innerList(tt.components)+tt.rest, at)
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := signBase(tt.alg, &tt.key, base); err != nil || base64.StdEncoding.EncodeToString(sum) != tt.want {
			t.Errorf("%s: %x, %v of\n%s", tt.name, sum, err, base)
		}
	}
}

func TestTheVectorsOfContentDigest(t *testing.T) {
	for alg, want := range map[string]string{
		"sha-256": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
		"sha-512": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
	} {
		if got := contentDigest(alg, []byte(`{"hello": "world"}`)); got != want {
			t.Errorf("%s: %s", alg, got)
		}
	}
}

// styled has one set of options for each style.
func styled(t *testing.T) map[string]SignOptions {
	t.Helper()
	all := map[string]SignOptions{}
	for _, style := range SignStyles() {
		o := SignOptions{Style: style, Signature: DefaultSignature()}
		if style == signTemplate {
			o.Signature = convoy()
		}
		if style != signNone {
			secret, _, err := GenerateSecretFor(style)
			if err != nil {
				t.Fatal(err)
			}
			o.Keys = signingKeys(secret)
		}
		all[style] = o
	}
	edwards := SignOptions{Style: "rfc9421", Signature: DefaultSignature(), Keys: signingKeys(vectorWhsk)}
	edwards.Signature.Alg, edwards.Signature.Components = "ed25519", append(derivedComponents(), "content-digest", "content-type")
	all["rfc9421 with ed25519"] = edwards
	millis := SignOptions{Style: "template", Keys: signingKeys("some secret")}
	millis.Signature = templated(func(o *Signature) {
		o.Content, o.Alg, o.Encoding, o.Multi = "{ts_ms}|{type}|{id}|{sha256:body}", "hmac-sha512", "base64", "repeat"
		o.Headers = map[string]string{"X-Time": "{ts_ms}", "X-Event": "{type}/{id}"}
	})
	all["template with milliseconds"] = millis
	return all
}

func TestEveryStyleVerifiesWhatItSignedAndNothingElse(t *testing.T) {
	for name, o := range styled(t) {
		t.Run(name, func(t *testing.T) {
			m := vector()
			h := signedAs(t, o, m)
			how := VerifyOptions{Style: o.Style, Signature: o.Signature, Now: m.At, Tolerance: DefaultTolerance}
			for _, k := range o.Keys {
				how.Secrets = append(how.Secrets, k.Secret)
			}
			r := Received{Method: m.Method, URL: m.URL, Header: h, Body: m.Body}
			if err := VerifyRequest(&r, how); err != nil {
				t.Fatalf("own signature: %v", err)
			}
			if o.Style == signNone {
				return
			}
			forged := r
			forged.Body = []byte(vectorBody + " ")
			if err := VerifyRequest(&forged, how); !errors.Is(err, ErrSignature) {
				t.Errorf("another body: %v", err)
			}
			other, _, err := GenerateSecretFor(o.Style)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(o.Keys[0].Secret, "whsk_") {
				other = "whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
			}
			wrong := how
			wrong.Secrets = []string{other}
			if err := VerifyRequest(&r, wrong); !errors.Is(err, ErrSignature) {
				t.Errorf("another secret: %v", err)
			}
			old := how
			old.Now = m.At.Add(time.Hour)
			if err := VerifyRequest(&r, old); o.Style != "github" && o.Style != "shopify" && !errors.Is(err, ErrTimestamp) {
				t.Errorf("an old request: %v", err)
			}
			if err := VerifyRequest(&Received{Method: "POST", URL: m.URL, Header: http.Header{}, Body: m.Body}, how); !errors.Is(err, ErrMissingHeader) {
				t.Errorf("no headers: %v", err)
			}
		})
	}
}

// T10: the time is that of the attempt.
func TestT10EveryAttemptIsSignedWithItsOwnTime(t *testing.T) {
	for name, o := range styled(t) {
		first, second := vector(), vector()
		second.At = second.At.Add(10 * time.Minute)
		a, b := signedAs(t, o, first), signedAs(t, o, second)
		if a["webhook-timestamp"][0] == b["webhook-timestamp"][0] {
			t.Errorf("%s: the same time", name)
		}
		if a["webhook-id"][0] != b["webhook-id"][0] {
			t.Errorf("%s: another id", name)
		}
	}
}

func TestExpiredSecretsSignNoMore(t *testing.T) {
	end := time.Unix(vectorTime, 0)
	for name, o := range styled(t) {
		if o.Style == signNone {
			continue
		}
		fresh, _, err := GenerateSecretFor(o.Style)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(o.Keys[0].Secret, "whsk_") {
			fresh = "whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
		}
		old := o.Keys[0]
		old.NotAfter = end
		o.Keys = []SigningKey{old, {Secret: fresh}}
		verifies := func(at time.Time, secret string) bool {
			m := vector()
			m.At = at
			r := Received{Method: m.Method, URL: m.URL, Header: signedAs(t, o, m), Body: m.Body}
			return VerifyRequest(&r, VerifyOptions{Style: o.Style, Signature: o.Signature, Secrets: []string{secret}, Now: at, Tolerance: DefaultTolerance}) == nil
		}
		s, err := schemeOf(o.Style, &o.Signature)
		if err != nil {
			t.Fatal(err)
		}
		if !verifies(end, old.Secret) || verifies(end, fresh) == s.single() {
			t.Errorf("%s: before the end", name)
		}
		if verifies(end.Add(time.Second), old.Secret) || !verifies(end.Add(time.Second), fresh) {
			t.Errorf("%s: after the end", name)
		}
		o.Keys = o.Keys[:1]
		gone, err := NewSigner(o)
		if err != nil {
			t.Fatal(err)
		}
		m := vector()
		m.At = end.Add(time.Second)
		if err := gone.Sign(http.Header{}, &m); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: nothing is left, and %v", name, err)
		}
	}
}

// T31: the header goes out in the spelling of the configuration.
func TestT31TheSpellingOfHeadersIsKept(t *testing.T) {
	o := templated(func(o *Signature) { o.Header = "X-my-SIG" })
	h := signedAs(t, SignOptions{Style: "template", Signature: o, Keys: signingKeys("some secret")}, vector())
	if h["X-my-SIG"] == nil {
		t.Errorf("headers %v", h)
	}
}

// T24: ids have no dot, which would make two messages of one text.
func TestT24IDsHaveNoDot(t *testing.T) {
	if id := NewID(time.Now(), []byte("a.b")); strings.Trim(id, "evt_0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
		t.Errorf("id %s", id)
	}
}

func TestAVerifierAcceptsAPublicKeyAndASignerDoesNot(t *testing.T) {
	private, public, err := GenerateSecretFor("standard-ed25519")
	if err != nil || !strings.HasPrefix(public, "whpk_") {
		t.Fatalf("%s, %v", public, err)
	}
	m := vector()
	h := signedAs(t, SignOptions{Style: "standard-ed25519", Keys: signingKeys(private)}, m)
	if err := VerifyRequest(&Received{Header: h, Body: m.Body}, VerifyOptions{Style: "standard-ed25519", Secrets: []string{public}, Now: m.At}); err != nil {
		t.Error(err)
	}
	if _, err := NewSigner(SignOptions{Style: "standard-ed25519", Keys: signingKeys(public)}); err == nil {
		t.Error("a public key signs")
	}
	if _, err := NewSigner(SignOptions{Style: "standard-ed25519", Keys: signingKeys("whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 31)))}); err == nil {
		t.Error("31 bytes sign")
	}
}

func TestTheStandardBodyDigestPlaceholder(t *testing.T) {
	sum := sha256.Sum256([]byte(vectorBody))
	p := mustPattern("{ts}:{sha256:body}")
	m := vector()
	if got := p.text(&values{at: m.At, body: m.Body}); got != "1614265330:"+hex.EncodeToString(sum[:]) {
		t.Error(got)
	}
}

func TestASignatureThatDoesNotCoverTheBodyIsNone(t *testing.T) {
	o := DefaultSignature()
	m := vector()
	h := signedAs(t, SignOptions{Style: "rfc9421", Signature: o, Keys: signingKeys("some secret that is long")}, m)
	h["signature-input"][0] = strings.Replace(h["signature-input"][0], ` "content-digest"`, "", 1)
	err := VerifyRequest(&Received{Method: "POST", URL: m.URL, Header: h, Body: m.Body},
		VerifyOptions{Style: "rfc9421", Signature: o, Secrets: []string{"some secret that is long"}, Now: m.At})
	if !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), "content-digest") {
		t.Error(err)
	}
}

// What is signed can be shown, and is what the signature of the same request was made over.
func TestTheSignedContentOfARequestCanBeShown(t *testing.T) {
	tests := map[string]string{
		"standard": "{id}.{ts}.{body}", "standard-ed25519": "{id}.{ts}.{body}", "svix": "{id}.{ts}.{body}", "github": "{body}", "stripe": "{ts}.{body}",
		"slack": "v0:{ts}:{body}", "shopify": "{body}",
	}
	for name, o := range styled(t) {
		m := vector()
		h := signedAs(t, o, m)
		got, err := SignedContent(&Received{Method: m.Method, URL: m.URL, Header: h, Body: m.Body}, o.Style, o.Signature)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if o.Style == signRFC9421 {
			inputs := dictionary(exactly(h, headerSignatureInput))
			if len(got) != len(o.Keys) || !strings.HasSuffix(got[0], "\n\"@signature-params\": "+inputs[0].value) || !strings.Contains(got[0], `"content-digest": sha-`) {
				t.Errorf("%s: %q", name, got)
			}
			continue
		}
		want, known := tests[o.Style]
		want = strings.NewReplacer("{id}", m.ID, "{ts}", unixSeconds(m.At), "{body}", string(m.Body)).Replace(want)
		if known && (len(got) != 1 || got[0] != want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, err := SignedContent(&Received{Header: http.Header{}}, "none", Signature{}); err != nil || len(got) != 0 {
		t.Errorf("none: %q, %v", got, err)
	}
	if _, err := SignedContent(&Received{Header: http.Header{}}, "standard", Signature{}); !errors.Is(err, ErrMissingHeader) {
		t.Errorf("no headers: %v", err)
	}
}

func TestThePublishedPublicKeyVerifiesThePublishedSignature(t *testing.T) {
	m := vector()
	h := signedAs(t, SignOptions{Style: "standard-ed25519", Keys: signingKeys(vectorWhsk)}, m)
	o := VerifyOptions{Style: "standard-ed25519", Secrets: []string{"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}, Now: m.At, Tolerance: DefaultTolerance}
	if err := VerifyRequest(&Received{Header: h, Body: m.Body}, o); err != nil {
		t.Error(err)
	}
	if err := VerifyRequest(&Received{Header: h, Body: append(m.Body, ' ')}, o); !errors.Is(err, ErrSignature) {
		t.Errorf("another body: %v", err)
	}
}

// T22: the same secret is another key in another style; whoever decodes it for Stripe gets another signature.
func TestT22TheSameSecretIsAnotherKeyInAnotherStyle(t *testing.T) {
	m := vector()
	h := signedAs(t, SignOptions{Style: "stripe", Keys: signingKeys(vectorSecret)}, m)
	if got := exactly(h, "Stripe-Signature"); !strings.HasPrefix(got, "t=1614265330,v1=2e37df5d") || strings.Contains(got, "v1=e96203c6") {
		t.Errorf("Stripe-Signature: %s", got)
	}
	decoded := templated(func(o *Signature) { o.Content, o.Value, o.KeyEncoding = "{ts}.{body}", "t={ts},v1={sig}", "base64" })
	bare := strings.TrimPrefix(vectorSecret, "whsec_")
	h = signedAs(t, SignOptions{Style: "template", Signature: decoded, Keys: signingKeys(bare)}, m)
	if got := exactly(h, "X-Signature"); !strings.HasPrefix(got, "t=1614265330,v1=e96203c6") {
		t.Errorf("with the key decoded: %s", got)
	}
}

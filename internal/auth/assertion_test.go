package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf(t, "PRIVATE KEY", der, err)
}

// verified checks an assertion with the standard library alone and gives its claims.
func verified(assertion, algorithm, keyID string, check func(signed, signature []byte) bool) (map[string]any, error) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, err
		}
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	var claims map[string]any
	if json.Unmarshal(raw[0], &header) != nil || json.Unmarshal(raw[1], &claims) != nil || header.Alg != algorithm || header.Kid != keyID {
		return nil, fmt.Errorf("header %s, claims %s", raw[0], raw[1])
	}
	if !check([]byte(parts[0]+"."+parts[1]), raw[2]) {
		return nil, errors.New("the signature is wrong")
	}
	return claims, nil
}

type signedCase struct {
	algorithm string // configured
	is        string
	key       string
	check     func(signed, signature []byte) bool
}

func ecdsaCheck(key *ecdsa.PublicKey, hash func([]byte) []byte) func(signed, signature []byte) bool {
	return func(signed, signature []byte) bool {
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		return half == (key.Params().BitSize+7)/8 && ecdsa.Verify(key, hash(signed), r, s)
	}
}

func sum256(b []byte) []byte { d := sha256.Sum256(b); return d[:] }
func sum384(b []byte) []byte { d := sha512.Sum384(b); return d[:] }

func signedCases(t *testing.T) map[string]signedCase {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	edPublic, edKey, _ := ed25519.GenerateKey(rand.Reader)
	rs256 := func(signed, signature []byte) bool {
		return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum256(signed), signature) == nil
	}
	ec, err := x509.MarshalECPrivateKey(p256)
	sec1 := pemOf(t, "EC PRIVATE KEY", ec, err)
	return map[string]signedCase{
		"RSA in PKCS 8":   {"", "RS256", pkcs8(t, rsaKey), rs256},
		"RSA in PKCS 1":   {"RS256", "RS256", pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), rs256},
		"RSA in one line": {"", "RS256", strings.ReplaceAll(pkcs8(t, rsaKey), "\n", `\n`), rs256},
		"RSA-PSS": {"PS256", "PS256", pkcs8(t, rsaKey), func(signed, signature []byte) bool {
			return rsa.VerifyPSS(&rsaKey.PublicKey, crypto.SHA256, sum256(signed), signature, nil) == nil
		}},
		"P-256 in SEC 1":  {"ES256", "ES256", sec1, ecdsaCheck(&p256.PublicKey, sum256)},
		"P-384 in PKCS 8": {"", "ES384", pkcs8(t, p384), ecdsaCheck(&p384.PublicKey, sum384)},
		"Ed25519": {"", "EdDSA", pkcs8(t, edKey), func(signed, signature []byte) bool {
			return ed25519.Verify(edPublic, signed, signature)
		}},
		"shared secret": {"HS256", "HS256", strings.Repeat("shared-secret!", 3), func(signed, signature []byte) bool {
			mac := hmac.New(sha256.New, []byte(strings.Repeat("shared-secret!", 3)))
			mac.Write(signed)
			return hmac.Equal(mac.Sum(nil), signature)
		}},
	}
}

func TestAJWTBearerAssertionIsSignedWithEachKindOfKey(t *testing.T) {
	for name, test := range signedCases(t) {
		t.Run(name, func(t *testing.T) {
			p, now := newProvider(), newClock()
			origin := ""
			p.refuse = func(w http.ResponseWriter, form url.Values) bool {
				claims, err := verified(form.Get("assertion"), test.is, "key-7", test.check)
				if err != nil {
					t.Error(err)
					p.error(w, http.StatusBadRequest, "invalid_grant")
					return true
				}
				at := float64(now.now().Unix())
				if claims["iss"] != "service@example.com" || claims["sub"] != "ann@example.com" || claims["aud"] != origin+"/token" ||
					claims["scope"] != "a b" || claims["iat"] != at || claims["exp"] != at+180 || claims["jti"] == "" {
					t.Errorf("claims %v", claims)
				}
				if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || form.Get("scope") != "a b" || form.Has("audience") {
					t.Errorf("form %v", form)
				}
				p.valid["jwt-access"] = true
				_, _ = w.Write([]byte(`{"access_token":"jwt-access"}`))
				return true
			}
			origin = p.start(t)
			config := Config{
				Kind: KindOAuth2, Grant: "jwt_bearer", TokenURL: origin + "/token", Issuer: "service@example.com", Subject: "ann@example.com",
				Scopes: []string{"a", "b"}, Key: env("KEY"), KeyID: "key-7", Algorithm: test.algorithm,
			}
			newClient(t, config, origin, Options{Secrets: newVault("KEY", test.key).secrets(), Now: now.now}).ok(t, origin)
		})
	}
}

func TestAClientCanProveItselfWithAnAssertion(t *testing.T) {
	key := signedCases(t)["P-256 in SEC 1"]
	p := newProvider()
	origin := ""
	p.refuse = func(w http.ResponseWriter, form url.Values) bool {
		claims, err := verified(form.Get("client_assertion"), "ES256", "", key.check)
		if err != nil || claims["iss"] != "my client" || claims["sub"] != "my client" || claims["aud"] != origin+"/token" {
			t.Errorf("%v, claims %v", err, claims)
		}
		if form.Get("grant_type") != "client_credentials" || form.Get("client_id") != "my client" ||
			form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("form %v", form)
		}
		p.valid["access"] = true
		_, _ = w.Write([]byte(`{"access_token":"access"}`))
		return true
	}
	origin = p.start(t)
	config := Config{Kind: KindOAuth2, TokenURL: origin + "/token", ClientID: "my client", Key: env("KEY")}
	newClient(t, config, origin, Options{Secrets: newVault("KEY", key.key).secrets()}).ok(t, origin)
}

func TestAnAssertionThatTheEndpointEchoesIsNotShown(t *testing.T) {
	key := signedCases(t)["P-256 in SEC 1"]
	p := newProvider()
	sent := ""
	p.refuse = func(w http.ResponseWriter, form url.Values) bool {
		sent = form.Get("assertion")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "bad assertion " + sent})
		return true
	}
	origin := p.start(t)
	config := Config{Kind: KindOAuth2, Grant: "jwt_bearer", TokenURL: origin + "/token", Issuer: "me", Key: env("KEY")}
	e := newClient(t, config, origin, Options{Secrets: newVault("KEY", key.key).secrets()}).fails(t, origin)
	if !strings.Contains(e.Message, "bad assertion (secret)") || !strings.Contains(e.Hint, "clock") {
		t.Errorf("%v; %s", e, e.Hint)
	}
	quiet(t, e, sent, key.key)
}

func TestKeysThatCannotSignAreExplained(t *testing.T) {
	cases := signedCases(t)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	public, _ := rsa.GenerateKey(rand.Reader, 1024)
	publicDER, err := x509.MarshalPKIXPublicKey(&public.PublicKey)
	for name, test := range map[string]struct {
		key, algorithm, says, about string
	}{
		"no PEM":          {"just-a-password", "", "not PEM", "key"},
		"public":          {pemOf(t, "PUBLIC KEY", publicDER, err), "", "PUBLIC KEY", "key"},
		"encrypted":       {pemOf(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), "", "encrypted", "key"},
		"P-521":           {pkcs8(t, p521), "", "cannot sign", "key"},
		"wrong algorithm": {cases["Ed25519"].key, "RS256", "does not fit the key", "algorithm"},
		"no algorithm":    {cases["Ed25519"].key, "XS256", "does not exist", "algorithm"},
		"short secret":    {"too-short", "HS256", "too short", "key"},
	} {
		_, err := parseKey(test.key, test.algorithm)
		if err == nil || !strings.Contains(err.Error(), test.says) || keyOfSigner(err) != test.about || setting.Hint(err) == "" {
			t.Errorf("%s: %v about %s; %s", name, err, keyOfSigner(err), setting.Hint(err))
		}
	}
}

func TestAssertionsAreFreshForEachRequest(t *testing.T) {
	now := newClock()
	m := &oauth2{
		c:        &Config{Key: env("KEY"), Algorithm: "HS256"},
		endpoint: endpoint{secrets: newVault("KEY", strings.Repeat("shared-secret!", 3)).secrets(), now: now.now},
	}
	first, err := m.assertion(claims{issuer: "i", subject: "s", audience: "a"})
	if err != nil {
		t.Fatal(err)
	}
	now.pass(time.Second)
	second, err := m.assertion(claims{issuer: "i", subject: "s", audience: "a"})
	if err != nil || first == second {
		t.Errorf("%v, the same again: %v", err, first == second)
	}
}

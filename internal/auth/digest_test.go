package auth

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/icholy/digest"
)

// digestServer asks for Digest and verifies the answers with its own arithmetic.
type digestServer struct {
	algorithm string // as it stands in the challenge; empty: none
	qop       string // as it stands in the challenge; empty: none
	userhash  bool
	template  string // of the challenge, with %s for the parameters; empty: "Digest %s"
	perNonce  int    // requests that a nonce is good for; 0: any number
	password  string

	mu       sync.Mutex
	nonces   map[string]int // last count of each
	issued   int
	requests int
	bad      int // answers that were wrong
	problem  string
}

const digestUser = `DOM\ann "x" ö`

// H gives the digest of a text, in hexadecimal.
func (s *digestServer) H(text string) string {
	switch strings.TrimSuffix(strings.ToUpper(s.algorithm), "-SESS") {
	case "SHA-256":
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	case "SHA-512-256":
		sum := sha512.Sum512_256([]byte(text))
		return hex.EncodeToString(sum[:])
	case "SHA-512":
		sum := sha512.Sum512([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// response is RFC 7616, section 3.4.1; without qop, RFC 2617, section 3.2.2.1.
func (s *digestServer) response(p map[string]string, user, method, body string) string {
	a1 := user + ":" + p["realm"] + ":" + s.password
	if strings.HasSuffix(strings.ToLower(s.algorithm), "-sess") {
		a1 = s.H(a1) + ":" + p["nonce"] + ":" + p["cnonce"]
	}
	a2 := method + ":" + p["uri"]
	if p["qop"] == "auth-int" {
		a2 += ":" + s.H(body)
	}
	if p["qop"] == "" {
		return s.H(s.H(a1) + ":" + p["nonce"] + ":" + s.H(a2))
	}
	return s.H(s.H(a1) + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":" + p["qop"] + ":" + s.H(a2))
}

func (s *digestServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	body, _ := io.ReadAll(r.Body)
	stale, ok := s.verify(r, string(body))
	if ok {
		_, _ = io.WriteString(w, "welcome")
		return
	}
	s.issued++
	nonce := fmt.Sprintf("nonce/%d==", s.issued)
	if s.nonces == nil {
		s.nonces = map[string]int{}
	}
	s.nonces[nonce] = 0
	params := fmt.Sprintf(`realm="the \"realm\", no 1", nonce="%s", opaque="op,aque"`, nonce)
	if s.algorithm != "" {
		params += ", algorithm=" + s.algorithm
	}
	if s.qop != "" {
		params += `, qop="` + s.qop + `"`
	}
	if stale {
		params += ", stale=TRUE"
	}
	if s.userhash {
		params += ", userhash=true"
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(or(s.template, "Digest %s"), params))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, strings.Repeat("who are you? ", 100))
}

// verify checks an answer; stale says that only its nonce is too old.
func (s *digestServer) verify(r *http.Request, body string) (stale, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return false, false
	}
	p := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`).FindAllStringSubmatch(header, -1) {
		p[m[1]] = regexp.MustCompile(`\\(.)`).ReplaceAllString(m[2], "$1") + m[3]
	}
	user := digestUser
	if s.userhash {
		user = s.H(digestUser + ":" + p["realm"])
	}
	count, known := s.nonces[p["nonce"]]
	nc, _ := strconv.ParseInt(p["nc"], 16, 32)
	offered := s.qop == "" && p["qop"] == "" || p["qop"] != "" && strings.Contains(", "+s.qop+",", " "+p["qop"]+",") || p["qop"] != "" && strings.Contains(","+s.qop+",", ","+p["qop"]+",")
	if p["username"] != user || p["uri"] != r.RequestURI || p["opaque"] != "op,aque" || p["algorithm"] != s.algorithm || !offered {
		s.bad++
		s.problem = header
		return false, false
	}
	if p["response"] != s.response(p, digestUser, r.Method, body) {
		s.bad++
		return false, false
	}
	if !known || s.perNonce > 0 && count >= s.perNonce {
		return true, false
	}
	if s.qop != "" && int(nc) != count+1 && s.perNonce >= 0 {
		s.problem = fmt.Sprintf("count %d after %d", nc, count)
		return true, false
	}
	s.nonces[p["nonce"]] = count + 1
	return false, true
}

func digestClient(t *testing.T, s *digestServer, v *vault) (*client, string) {
	t.Helper()
	origin := serve(t, s).URL
	config := Config{Kind: KindDigest, Username: digestUser, Password: env("PASSWORD")}
	return newClient(t, config, origin, Options{Secrets: v.secrets()}), origin
}

func TestDigestWithEachAlgorithmAndQuality(t *testing.T) {
	for _, algorithm := range []string{"", "MD5", "md5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess", "SHA-512"} {
		for _, qop := range []string{"", "auth", "auth-int", "auth,auth-int", "auth-int, auth"} {
			for _, userhash := range []bool{false, true} {
				if strings.HasSuffix(algorithm, "-sess") && qop == "" {
					continue // the session needs the client's nonce, which only comes with a quality
				}
				t.Run(fmt.Sprintf("%s %s %v", algorithm, qop, userhash), func(t *testing.T) {
					s := &digestServer{algorithm: algorithm, qop: qop, userhash: userhash, password: "pass:word/1"}
					c, origin := digestClient(t, s, newVault("PASSWORD", "pass:word/1"))
					for i := range 3 {
						g, err := c.ask(t.Context(), http.MethodPost, origin+"/a%20b?x=1&y="+strconv.Itoa(i), "body "+strconv.Itoa(i))
						if err != nil || g.status != http.StatusOK || g.body != "welcome" {
							t.Fatalf("%+v, %v; %s", g, err, s.problem)
						}
					}
					if s.requests != 4 {
						t.Errorf("%d requests for 3 answers: the challenge is not used again", s.requests)
					}
				})
			}
		}
	}
}

func TestDigestFindsItsChallengeAmongOthers(t *testing.T) {
	for _, template := range []string{
		`Negotiate, NTLM, Digest %s`, `Basic realm="a, b", Digest %s`, `Digest algorithm=SHA3-256, nonce="x", realm="y", Digest %s, Basic realm="z"`,
		`digest %s`, `Bearer token68==, Digest %s`,
	} {
		s := &digestServer{algorithm: "SHA-256", qop: "auth", template: template, password: "pass:word/1"}
		c, origin := digestClient(t, s, newVault("PASSWORD", "pass:word/1"))
		if g, err := c.get(t, origin); err != nil || g.status != http.StatusOK {
			t.Errorf("%s: %+v, %v; %s", template, g, err, s.problem)
		}
	}
}

func TestAStaleNonceIsReplaced(t *testing.T) {
	s := &digestServer{algorithm: "MD5", qop: "auth", perNonce: 3, password: "pass:word/1"}
	c, origin := digestClient(t, s, newVault("PASSWORD", "pass:word/1"))
	for range 9 {
		c.ok(t, origin)
	}
	if s.requests != 12 || s.bad != 0 {
		t.Errorf("%d requests, %d wrong", s.requests, s.bad)
	}
}

func TestDigestUnderConcurrentRequests(t *testing.T) {
	s := &digestServer{algorithm: "SHA-256", qop: "auth", perNonce: -1, password: "pass:word/1"} // counts may come in any order
	c, origin := digestClient(t, s, newVault("PASSWORD", "pass:word/1"))
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if g, err := c.get(t, origin); err != nil || g.status != http.StatusOK {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	group.Wait()
	if s.bad != 0 {
		t.Errorf("%d wrong answers: %s", s.bad, s.problem)
	}
}

func TestAWrongDigestPasswordIsTriedOncePerRequest(t *testing.T) {
	s := &digestServer{algorithm: "SHA-256", qop: "auth", password: "pass:word/1"}
	v := newVault("PASSWORD", "wrong-password")
	c, origin := digestClient(t, s, v)
	for i := range 3 {
		e := c.fails(t, origin)
		if e.Reason != ReasonRefused || !strings.Contains(e.Hint, "auth.password (env:PASSWORD)") {
			t.Errorf("%v; %s", e, e.Hint)
		}
		quiet(t, e, "wrong-password")
		if s.bad != i+1 {
			t.Errorf("%d wrong passwords after %d requests", s.bad, i+1)
		}
	}
	v.set("PASSWORD", "pass:word/1")
	c.ok(t, origin)
	v.set("PASSWORD", "wrong-password") // now with a challenge that is kept
	before := s.bad
	_ = c.fails(t, origin)
	if s.bad > before+2 {
		t.Errorf("%d wrong passwords in one request", s.bad-before)
	}
}

func TestDigestWithoutAUsableChallengeGivesTheAnswerAsItIs(t *testing.T) {
	for _, challenge := range []string{"", `Basic realm="x"`, `Digest realm="x", nonce="y", algorithm=SHA3-256`, `Digest realm="x"`, `Digest nonce="y", qop="auth-conf"`, `,,=,"`} {
		requests := 0
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "the reason")
		}))
		c := newClient(t, Config{Kind: KindDigest, Username: "u", Password: env("P")}, s.URL, Options{Secrets: newVault("P", "password").secrets()})
		var g got
		answer, _, err := c.try(t.Context(), http.MethodGet, s.URL, "", &g)
		if err != nil || answer.Status != http.StatusUnauthorized || g.body != "the reason" || requests != 1 {
			t.Errorf("%s: %+v, %v, %d requests", challenge, g, err, requests)
		}
	}
}

func TestAStrangerIsNotToldADigest(t *testing.T) {
	stranger := &digestServer{algorithm: "MD5", qop: "auth", password: "pass:word/1"}
	other := serve(t, stranger).URL
	c, _ := digestClient(t, &digestServer{}, newVault("PASSWORD", "pass:word/1"))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, other, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if stranger.requests != 1 || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d requests, %d", stranger.requests, resp.StatusCode)
	}
}

// The examples of RFC 2617, section 3.5, and RFC 7616, section 3.9, the last one as corrected by erratum 4897.
func TestDigestExamplesOfTheRFCs(t *testing.T) {
	for _, test := range []struct {
		server              *digestServer
		user, realm         string
		nonce, cnonce, uri  string
		response, shownUser string
	}{
		{
			&digestServer{password: "Circle Of Life"},
			"Mufasa", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b",
			"/dir/index.html", "6629fae49393a05397450978507c4ef1", "Mufasa",
		},
		{
			&digestServer{algorithm: "MD5", password: "Circle of Life"},
			"Mufasa", "http-auth@example.org",
			"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "/dir/index.html",
			"8ca523f5e9506fed4657c9700eebdbec", "Mufasa",
		},
		{
			&digestServer{algorithm: "SHA-256", password: "Circle of Life"},
			"Mufasa", "http-auth@example.org",
			"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "/dir/index.html",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", "Mufasa",
		},
		{
			&digestServer{algorithm: "SHA-512-256", userhash: true, password: "Secret, or not?"},
			"Jäsøn Doe", "api@example.org",
			"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", "/doe.json",
			"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
			"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
		},
	} {
		text, err := digestCredentials(
			&digest.Challenge{Realm: test.realm, Nonce: test.nonce, Algorithm: test.server.algorithm, QOP: []string{"auth"}, Userhash: test.server.userhash},
			digest.Options{Method: "GET", URI: test.uri, Count: 1, Cnonce: test.cnonce, Username: test.user, Password: test.server.password},
		)
		if err != nil || !strings.Contains(text, `response="`+test.response+`"`) || !strings.Contains(text, `username="`+test.shownUser+`"`) {
			t.Errorf("%s, %v", text, err)
		}
		// The server of the tests has to agree, or it proves nothing.
		p := map[string]string{"realm": test.realm, "nonce": test.nonce, "nc": "00000001", "cnonce": test.cnonce, "qop": "auth", "uri": test.uri}
		if got := test.server.response(p, test.user, "GET", ""); got != test.response {
			t.Errorf("the server expects %s, not %s", got, test.response)
		}
	}
}

func TestChallengesAreReadAsRFC9110WritesThem(t *testing.T) {
	for line, want := range map[string]string{
		`Basic realm="simple"`: `basic "" realm=simple;`,
		`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`: `newauth "" realm=apps;title=Login to "apps";type=1; | basic "" realm=simple;`,
		`Negotiate, NTLM`:           `negotiate ""  | ntlm "" `,
		`NTLM TlRMTVNTUAAC==`:       `ntlm "TlRMTVNTUAAC==" `,
		`Negotiate oYG2MIGzoA=`:     `negotiate "oYG2MIGzoA=" `,
		`Digest Nonce = "a", qop=x`: `digest "" nonce=a;qop=x;`,
		`, ,Basic realm=x,`:         `basic "" realm=x;`,
		``:                          ``,
		`realm="lost"`:              ``,
	} {
		var all []string
		for _, c := range challenges(http.Header{"Www-Authenticate": {line}}) {
			var text strings.Builder
			fmt.Fprintf(&text, "%s %q ", c.scheme, c.token)
			for _, name := range []string{"nonce", "qop", "realm", "title", "type"} {
				if value, ok := c.params[name]; ok {
					fmt.Fprintf(&text, "%s=%s;", name, value)
				}
			}
			all = append(all, text.String())
		}
		if got := strings.Join(all, " | "); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

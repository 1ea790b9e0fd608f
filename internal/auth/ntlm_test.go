package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// ntHash is the MD4 of "Password" in UTF-16, from MS-NLMP 4.2.2.1.2: the server of the tests needs no MD4.
const ntHash = "a4f49c406510bdcab6824ee7c30fd852"

func utf16le(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(md5.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// ntowf2 is NTOWFv2 (MS-NLMP 3.3.2).
func ntowf2(user, domain string) []byte {
	key, err := hex.DecodeString(ntHash)
	if err != nil {
		panic(err)
	}
	return hmacMD5(key, utf16le(strings.ToUpper(user)+domain))
}

func TestTheServerOfTheTestsComputesTheExampleOfTheSpecification(t *testing.T) {
	if got := hex.EncodeToString(ntowf2("User", "Domain")); got != "0c868a403bfd7a93a3001ef22ef02e3f" { // MS-NLMP 4.2.4.1.1
		t.Fatal(got)
	}
}

// ntlmConn is what the server remembers of a connection.
type ntlmConn struct {
	mu        sync.Mutex
	challenge []byte
	user      string // that has proved who it is
}

type ntlmConnKey struct{}

// ntlmServer lets a connection in once it went through an NTLMv2 handshake.
type ntlmServer struct {
	scheme string // NTLM, Negotiate
	closes bool   // the connection after the challenge
	once   bool   // a proof serves one request only

	mu         sync.Mutex
	issued     int
	handshakes int
	requests   int
	wrong      int
	problem    string
}

func (s *ntlmServer) start(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, ntlmConnKey{}, &ntlmConn{})
	}
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func (s *ntlmServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, ok := r.Context().Value(ntlmConnKey{}).(*ntlmConn)
	if !ok {
		panic("a request without a connection")
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	body, _ := io.ReadAll(r.Body)
	if r.ProtoMajor != 1 {
		s.problem = "NTLM over " + r.Proto
	}
	scheme, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	message, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case encoded == "" && conn.user != "":
		s.welcome(w, r, conn, body)
	case scheme != s.scheme || err != nil || len(message) < 12:
		w.Header().Add("WWW-Authenticate", s.scheme)
		w.Header().Add("WWW-Authenticate", `Basic realm="no, not this"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, strings.Repeat("access denied ", 200))
	case message[8] == 1:
		if len(body) > 0 {
			s.problem = "the first step had a body"
		}
		s.issued++
		conn.challenge = binary.BigEndian.AppendUint64(nil, uint64(s.issued)<<32|0x5a5a)
		if s.closes {
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("WWW-Authenticate", s.scheme+" "+base64.StdEncoding.EncodeToString(challengeMessage(conn.challenge)))
		w.WriteHeader(http.StatusUnauthorized)
	case message[8] == 3 && conn.challenge != nil && s.proves(message, conn):
		s.handshakes++
		s.welcome(w, r, conn, body)
	default:
		s.wrong++
		conn.challenge = nil
		w.Header().Set("WWW-Authenticate", s.scheme)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *ntlmServer) welcome(w http.ResponseWriter, r *http.Request, conn *ntlmConn, body []byte) {
	_, _ = fmt.Fprintf(w, "%s %s %s %s", conn.user, r.Method, r.URL.RequestURI(), body)
	if s.once {
		conn.user, conn.challenge = "", nil
	}
}

// challengeMessage is MS-NLMP 2.2.1.2.
func challengeMessage(challenge []byte) []byte {
	info := binary.LittleEndian.AppendUint16(nil, 2) // MsvAvNbDomainName
	info = binary.LittleEndian.AppendUint16(info, 12)
	info = append(info, utf16le("Domain")...)
	info = append(info, 0, 0, 0, 0)
	m := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	m = append(m, make([]byte, 8)...)                           // no target name
	m = binary.LittleEndian.AppendUint32(m, 1|1<<9|1<<19|1<<23) // UNICODE, NTLM, EXTENDED_SESSIONSECURITY, TARGET_INFO
	m = append(m, challenge...)                                 //
	m = append(m, make([]byte, 8)...)                           // reserved
	m = binary.LittleEndian.AppendUint16(m, uint16(len(info)))  //
	m = binary.LittleEndian.AppendUint16(m, uint16(len(info)))  //
	m = binary.LittleEndian.AppendUint32(m, uint32(len(m)+4))   // offset
	return append(m, info...)
}

// proves verifies AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3 and 3.3.2).
func (s *ntlmServer) proves(m []byte, conn *ntlmConn) bool {
	field := func(at int) []byte {
		size, offset := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if offset+size > len(m) {
			return nil
		}
		return m[offset : offset+size]
	}
	text := func(raw []byte) string {
		var units []uint16
		for i := 0; i+1 < len(raw); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(raw[i:]))
		}
		return string(utf16.Decode(units))
	}
	response, domain, user := field(20), text(field(28)), text(field(36))
	if len(response) < 44 {
		s.problem = "no NTLMv2 response"
		return false
	}
	if !bytes.Equal(response[:16], hmacMD5(ntowf2(user, domain), conn.challenge, response[16:])) {
		return false
	}
	conn.user = domain + `\` + user
	return true
}

func ntlmClient(t *testing.T, origin, password string) *client {
	t.Helper()
	config := Config{Kind: KindNTLM, Username: `Domain\User`, Password: env("PASSWORD")}
	return newClient(t, config, origin, Options{Secrets: newVault("PASSWORD", password).secrets()})
}

func TestNTLMProvesAConnectionOnce(t *testing.T) {
	for _, scheme := range []string{"NTLM", "Negotiate"} {
		s := &ntlmServer{scheme: scheme}
		origin := s.start(t, false).URL
		c := ntlmClient(t, origin, "Password")
		for i := range 4 {
			g, err := c.ask(t.Context(), http.MethodPost, origin+"/list?n="+strconv.Itoa(i), "body "+strconv.Itoa(i))
			if want := fmt.Sprintf(`Domain\User POST /list?n=%d body %d`, i, i); err != nil || g.body != want {
				t.Fatalf("%s: %+v, %v; %s", scheme, g, err, s.problem)
			}
		}
		if s.handshakes != 1 || s.requests != 6 || s.problem != "" {
			t.Errorf("%s: %d handshakes, %d requests, %s", scheme, s.handshakes, s.requests, s.problem)
		}
	}
}

// Each handshake has a connection of its own; with shared ones the steps of several would mix.
func TestNTLMHandshakesDoNotMix(t *testing.T) {
	s := &ntlmServer{scheme: "NTLM", once: true}
	origin := s.start(t, false).URL
	c := ntlmClient(t, origin, "Password")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 10 {
				path := fmt.Sprintf("/%d/%d", i, j)
				g, err := c.ask(t.Context(), http.MethodPut, origin+path, strings.Repeat("x", 100*j))
				if err != nil || !strings.HasPrefix(g.body, `Domain\User PUT `+path+" ") {
					t.Errorf("%+v, %v", g, err)
				}
			}
		})
	}
	group.Wait()
	if s.wrong != 0 || s.handshakes != 80 {
		t.Errorf("%d wrong, %d handshakes", s.wrong, s.handshakes)
	}
}

func TestNTLMSpeaksHTTP1WhereOthersSpeakHTTP2(t *testing.T) {
	s := &ntlmServer{scheme: "NTLM"}
	server := s.start(t, true)
	base := outbound.NewTransport()
	base.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12} //nolint:errcheck // httptest gives it
	t.Cleanup(base.CloseIdleConnections)
	plain, err := base.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil)) // the transport was used before
	if err != nil || plain.ProtoMajor != 2 {
		t.Fatalf("%v, %v", plain, err)
	}
	_ = plain.Body.Close()
	s.mu.Lock()
	s.problem = ""
	s.mu.Unlock()
	c := ntlmClient(t, server.URL, "Password")
	c.transport = c.a.Transport(base)
	c.ok(t, server.URL)
	if s.problem != "" {
		t.Error(s.problem)
	}
}

func TestAWrongNTLMPasswordIsTriedOnce(t *testing.T) {
	s := &ntlmServer{scheme: "NTLM"}
	origin := s.start(t, false).URL
	c := ntlmClient(t, origin, "not-the-password")
	e := c.fails(t, origin)
	if e.Reason != ReasonRefused || s.wrong != 1 || !strings.Contains(e.Hint, "auth.password") {
		t.Errorf("%v; %s; %d wrong", e, e.Hint, s.wrong)
	}
	quiet(t, e, "not-the-password")
}

func TestAConnectionThatDoesNotLastIsExplained(t *testing.T) {
	s := &ntlmServer{scheme: "NTLM", closes: true}
	origin := s.start(t, false).URL
	e := ntlmClient(t, origin, "Password").fails(t, origin)
	if !strings.Contains(e.Message, "closed the connection") || !strings.Contains(e.Hint, "load balancer") || s.wrong != 0 {
		t.Errorf("%v; %s", e, e.Hint)
	}
}

func TestBrokenNTLMServersAreExplained(t *testing.T) {
	for name, challenge := range map[string]string{
		"not base64": "NTLM §§§", "not NTLM": "NTLM " + base64.StdEncoding.EncodeToString([]byte("hello, this is no challenge message at all, but long")),
		"cut": "NTLM TlRMTVNTUAACAAAA", "none": "NTLM",
	} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", "NTLM")
			if r.Header.Get("Authorization") != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}))
		if e := ntlmClient(t, s.URL, "Password").fails(t, s.URL); !strings.Contains(e.Message, "the NTLM handshake with") {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestAServerWithoutNTLMIsLeftAlone(t *testing.T) {
	requests := 0
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; r.Header.Get("Authorization") != "" {
			t.Error("a password was sent in the clear")
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="trap"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	e := ntlmClient(t, s.URL, "Password").fails(t, s.URL)
	if e.Status != http.StatusUnauthorized || requests != 1 {
		t.Errorf("%v, %d requests", e, requests)
	}
}

func TestNTLMNeedsATransportThatItCanTakeApart(t *testing.T) {
	c := ntlmClient(t, "http://127.0.0.1:1", "Password")
	c.transport = c.a.Transport(typed{})
	if _, err := c.get(t, "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "*http.Transport") {
		t.Errorf("got %v", err)
	}
}

func TestAnNTLMUserCanBeWrittenInBothWays(t *testing.T) {
	for _, user := range []string{`Domain\User`, "User"} {
		c := Config{Kind: KindNTLM, Username: user, Password: setting.NewSecret("env:P")}
		if problems := c.Validate(newVault("P", "password").secrets()); len(problems) > 0 {
			t.Error(problems)
		}
	}
}

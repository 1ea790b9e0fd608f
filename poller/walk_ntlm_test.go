package poller

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"unicode/utf16"

	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/setting"
)

// The NT hash (MD4) of "Password", from MS-NLMP 4.2.2.1.2, so that the server of the test needs no MD4.
const ntHash = "a4f49c406510bdcab6824ee7c30fd852"

func hmacMD5(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(md5.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

func utf16le(text string) (b []byte) {
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// walkNTLM is a server that lets a connection in after an NTLMv2 handshake, and forgets it with each page.
func walkNTLM(s *strict, c *Source) {
	c.Auth.Kind, c.Auth.Username, c.Auth.Password = auth.KindNTLM, `Domain\User`, setting.NewSecret("Password")
	challenges, known := map[string][]byte{}, map[string]bool{} // by connection
	s.proves = func(w http.ResponseWriter, q *http.Request, _ string) bool {
		_, encoded, _ := strings.Cut(q.Header.Get("Authorization"), " ")
		m, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case encoded == "" && known[q.RemoteAddr]:
			return true
		case err != nil || len(m) < 12:
			w.Header().Set("WWW-Authenticate", "NTLM")
		case m[8] == 1:
			challenge := binary.BigEndian.AppendUint64(nil, uint64(len(challenges)+1)<<32)
			challenges[q.RemoteAddr] = challenge
			w.Header().Set("WWW-Authenticate", "NTLM "+base64.StdEncoding.EncodeToString(challengeMessage(challenge)))
		case m[8] == 3 && challenges[q.RemoteAddr] != nil && provesNTLM(m, challenges[q.RemoteAddr]):
			known[q.RemoteAddr] = true
			return true
		default:
			w.Header().Set("WWW-Authenticate", "NTLM")
		}
		return false
	}
	s.expire = func() { clear(known); clear(challenges) }
}

// challengeMessage is MS-NLMP 2.2.1.2.
func challengeMessage(challenge []byte) []byte {
	info := append([]byte{2, 0, 12, 0}, utf16le("Domain")...)
	info = append(info, 0, 0, 0, 0)
	m := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 8)...)
	m = binary.LittleEndian.AppendUint32(m, 1|1<<9|1<<19|1<<23) // UNICODE, NTLM, EXTENDED_SESSIONSECURITY, TARGET_INFO
	m = append(append(m, challenge...), make([]byte, 8)...)
	m = binary.LittleEndian.AppendUint16(m, uint16(len(info)))
	m = binary.LittleEndian.AppendUint16(m, uint16(len(info)))
	m = binary.LittleEndian.AppendUint32(m, uint32(len(m)+4))
	return append(m, info...)
}

// provesNTLM verifies AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3, 3.3.2).
func provesNTLM(m, challenge []byte) bool {
	field := func(at int) []byte {
		size, offset := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if offset+size > len(m) {
			return nil
		}
		return m[offset : offset+size]
	}
	nt, err := hex.DecodeString(ntHash)
	response := field(20)
	if err != nil || len(response) < 44 || !bytes.Equal(field(28), utf16le("Domain")) || !bytes.Equal(field(36), utf16le("User")) {
		return false
	}
	key := hmacMD5(nt, utf16le("USERDomain"))
	return bytes.Equal(response[:16], hmacMD5(key, challenge, response[16:]))
}

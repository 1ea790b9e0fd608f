package auth

import (
	"fmt"
	"slices"
	"strings"
)

// choice reports a value that is none of the allowed ones.
func (v *check) choice(key, value string, allowed ...string) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	hint := "write " + alternatives(allowed)
	for _, meant := range synonyms(value) {
		if slices.Contains(allowed, meant) {
			hint = fmt.Sprintf("did you mean %q? %s can be %s", meant, key, alternatives(allowed))
			break
		}
	}
	v.add(hint, fmt.Sprintf("%s = %q does not exist", key, value), key)
	return false
}

// synonyms gives our words for what others call them; case, "-" and "_" do not count. Which one is meant depends on the key.
func synonyms(word string) []string {
	plain := strings.NewReplacer("-", "", "_", "", " ", "", "/", "").Replace(strings.ToLower(word))
	var meant []string
	for line := range strings.SplitSeq(strings.TrimSpace(otherNames), "\n") {
		ours, others, _ := strings.Cut(line, "=")
		if slices.Contains(strings.Fields(others), plain) {
			meant = append(meant, strings.TrimSpace(ours))
		}
	}
	return meant
}

// otherNames has a line for each of our words.
const otherNames = `
none = none anonymous off no
basic = basic basicauth httpbasic userpass
bearer = bearer bearertoken bearerauth token pat jwt
header = header apikey key customheader basic basicauth clientsecretbasic
query = query queryparam queryparameter param
oauth2 = oauth2 oauth oauth20 oidc openid
digest = digest digestauth httpdigest
login = login session cookie cookies form
hmac = hmac signature signed sign
ntlm = ntlm ntlmv2 windows negotiate
client_credentials = clientcredentials clientcredential client machine
refresh_token = refreshtoken refresh offline
password = password passwordgrant ropc resourceowner
jwt_bearer = jwtbearer jwt serviceaccount assertion urn:ietf:params:oauth:granttype:jwtbearer
sha1 = sha1 hmacsha1
sha256 = sha256 hmacsha256 hs256
sha512 = sha512 hmacsha512 hs512
hex = hex hexadecimal base16
base64 = base64 b64
raw = raw text plain utf8 ascii
body = body post form clientsecretpost
jwt = privatekeyjwt assertion
POST = post
GET = get
PUT = put
PATCH = patch
`

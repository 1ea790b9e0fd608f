package setting

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func environment(pairs map[string]string) *Secrets {
	return &Secrets{LookupEnv: func(name string) (string, bool) {
		v, ok := pairs[name]
		return v, ok
	}}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2hunter2"
	type section struct {
		Token Secret     `json:"token"`
		List  SecretList `json:"list"`
	}
	s := section{Token: NewSecret(value), List: SecretList{NewSecret(value)}}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(encoded), fmt.Sprintf("%v %+v %#v %s", s, s, s, s.Token), fmt.Sprintf("%q %x %d", s.Token, s.Token, s.Token), fmt.Sprint(&s.Token),
	} {
		if strings.Contains(text, value) || strings.Contains(text, "68756e746572") {
			t.Errorf("printed: %s", text)
		}
		if !strings.Contains(text, "(secret)") {
			t.Errorf("not even masked: %s", text)
		}
	}
	if ref := NewSecret("env:CRM"); ref.String() != "env:CRM" || fmt.Sprintf("%q", ref) != `"env:CRM"` {
		t.Errorf("a reference is no secret: %s", ref)
	}
}

func TestReferencesAreToldFromLiterals(t *testing.T) {
	for ref, literal := range map[string]bool{"env:A": false, "file:/a": false, "cred:a": false, "abc": true, "whsec_a:b": true, "ENV:A": true} {
		if NewSecret(ref).IsLiteral() != literal {
			t.Errorf("%s: literal is not %v", ref, literal)
		}
	}
	if !(Secret{}).IsZero() || (Secret{}).String() != "" {
		t.Error("the zero secret is none")
	}
	var s Secret
	if err := s.UnmarshalText(nil); err == nil || Hint(err) == "" {
		t.Errorf("an empty secret: %v", err)
	}
}

func TestReferencesAreResolved(t *testing.T) {
	dir := t.TempDir()
	writeSecret(t, filepath.Join(dir, "app"), "from-file\r\n")
	secrets := environment(map[string]string{"APP": "from-env", "EMPTY": ""})
	secrets.CredentialsDir = dir
	for ref, want := range map[string]string{
		"env:APP": "from-env", "file:" + filepath.Join(dir, "app"): "from-file", "cred:app": "from-file", "cred:../../app": "from-file", "literal": "literal",
	} {
		if got, err := secrets.Resolve(NewSecret(ref)); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	writeSecret(t, filepath.Join(dir, "void"), "\n")
	for _, ref := range []string{"env:NONE", "env:EMPTY", "file:" + filepath.Join(dir, "none"), "cred:none", "cred:void"} {
		_, err := secrets.Resolve(NewSecret(ref))
		if !errors.Is(err, ErrUnset) || Hint(err) == "" || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: %v (%s)", ref, err, Hint(err))
		}
	}
}

func TestTheZeroSecretsKnowNoEnvironment(t *testing.T) {
	for _, ref := range []string{"env:HOME", "cred:app"} {
		if _, err := new(Secrets).Resolve(NewSecret(ref)); !errors.Is(err, ErrUnset) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestARotatedFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	secrets, ref := &Secrets{}, NewSecret("file:"+path)
	writeSecret(t, path, "first-value")
	resolveTo(t, secrets, ref, "first-value")
	writeSecret(t, path, "other-value") // of the same size
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	resolveTo(t, secrets, ref, "other-value")
	if text := secrets.Redact("first-value, other-value"); text != "(secret), (secret)" {
		t.Errorf("the old value is still secret: %s", text)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Resolve(ref); !errors.Is(err, ErrUnset) {
		t.Errorf("a removed file: %v", err)
	}
}

func resolveTo(t *testing.T, secrets *Secrets, ref Secret, want string) {
	t.Helper()
	if got, err := secrets.Resolve(ref); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestRedactTakesOutEveryFormOfAValue(t *testing.T) {
	secrets := environment(map[string]string{"A": "pass&word/1", "B": "pass&word/1 and \"more\"", "C": "short"})
	for _, ref := range []string{"env:A", "env:B", "env:C"} {
		if _, err := secrets.Resolve(NewSecret(ref)); err != nil {
			t.Fatal(err)
		}
	}
	secrets.Remember("fetched-token")
	for text, want := range map[string]string{
		"a pass&word/1!":                        "a (secret)!",
		`b pass&word/1 and "more".`:             "b (secret).",
		"/?p=pass%26word%2F1&x=1":               "/?p=(secret)&x=1",
		`{"p":"pass\u0026word/1 and \"more\""}`: `{"p":"(secret)"}`,
		"Bearer fetched-token":                  "Bearer (secret)",
		"/?p=pass%26word%2f1":                   "/?p=(secret)",
		`<a>pass&amp;word/1</a>`:                "<a>(secret)</a>",
		`{"u":"/pass&word%2F1"}`:                `{"u":"/(secret)"}`,
		`{"u":"/pass\u0026word%2F1"}`:           `{"u":"/(secret)"}`,
		"a short text":                          "a short text", // too short to be told from text
	} {
		if got := secrets.Redact(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
}

func TestTheBeginningOfASecretAtACutIsTakenOut(t *testing.T) {
	secrets := environment(map[string]string{"A": "hunter2hunter2", "B": "hunter2&more"})
	for _, ref := range []string{"env:A", "env:B"} {
		if _, err := secrets.Resolve(NewSecret(ref)); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"key hunter2hunter2, key hunter2hun": "key (secret), key (secret)", "key hunt": "key (secret)", "key hun": "key hun",
		"key hunter2%26mo": "key (secret)", "hunter2h not at the end": "hunter2h not at the end", "": "",
	} {
		if got := secrets.RedactHead(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestSecretsMayBeUsedByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeSecret(t, path, "some-value")
	secrets := &Secrets{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				resolveTo(t, secrets, NewSecret("file:"+path), "some-value")
				if secrets.Redact("some-value") != "(secret)" {
					t.Error("not redacted")
				}
			}
		})
	}
	all.Wait()
}

func TestAListOfSecretsIsTakenWholeOrNotAtAll(t *testing.T) {
	var l SecretList
	if err := l.SetStrings([]string{"env:A", "env:B"}); err != nil || len(l) != 2 || l[1].String() != "env:B" {
		t.Errorf("%v, %v", l, err)
	}
	if err := l.SetStrings([]string{"env:A", ""}); err == nil {
		t.Error("an empty secret is taken")
	}
}

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRereadSeesAFileThatOnlyLooksUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	then := time.Now().Add(-time.Hour)
	write := func(value string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"file:" + path, "cred:token"} {
		secrets := &Secrets{CredentialsDir: filepath.Dir(path)}
		write("first-value")
		if v, err := secrets.Resolve(NewSecret(ref)); v != "first-value" || err != nil {
			t.Fatalf("%s: %q, %v", ref, v, err)
		}
		write("other-value")
		if v, err := secrets.Reread(NewSecret(ref)); v != "other-value" || err != nil {
			t.Errorf("%s: read again %q, %v", ref, v, err)
		}
	}
	secrets := environment(map[string]string{"A": "some-value"})
	if v, err := secrets.Reread(NewSecret("env:A")); v != "some-value" || err != nil {
		t.Errorf("a variable: %q, %v", v, err)
	}
	if v, err := secrets.Reread(NewSecret("literal")); v != "literal" || err != nil {
		t.Errorf("a literal: %q, %v", v, err)
	}
}

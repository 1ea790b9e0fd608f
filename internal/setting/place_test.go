package setting

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsNamedByItsPathOrAReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets := environment(map[string]string{"CA": "some text"})
	secrets.CredentialsDir = filepath.Dir(path)
	for _, text := range []string{"some text", "another text"} {
		write(text)
		for _, f := range []File{File(path), File("file:" + path), "cred:ca.pem"} {
			if got, err := secrets.Text(f); err != nil || got != text {
				t.Errorf("%s: %q, %v", f, got, err)
			}
		}
	}
	if got, err := secrets.Text("env:CA"); err != nil || got != "some text" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := secrets.Text("/nowhere/ca.pem"); !errors.Is(err, ErrUnset) {
		t.Errorf("got %v", err)
	}
	if text := secrets.Redact("some text"); text != "some text" {
		t.Errorf("a certificate is taken for a secret: %s", text)
	}
	var f File
	for _, bad := range []string{"", "-----BEGIN CERTIFICATE-----"} {
		if err := f.UnmarshalText([]byte(bad)); err == nil || Hint(err) == "" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAnAmountIsAShareOrANumber(t *testing.T) {
	for text, c := range map[string]struct{ of, want int64 }{
		"10%": {60, 6}, "1%": {60, 1}, "0%": {60, 0}, "100%": {60, 60}, "15": {60, 15}, "15 ": {60, -1}, "x": {0, -1}, "-1": {0, -1}, "-1%": {0, -1}, "": {0, -1},
	} {
		var a Amount
		err := a.UnmarshalText([]byte(text))
		if c.want < 0 {
			if err == nil || Hint(err) == "" {
				t.Errorf("%q is taken: %v", text, a)
			}
			continue
		}
		if got := a.Of(c.of); err != nil || got != c.want || a.String() != text {
			t.Errorf("%q of %d is %d, written %s, %v", text, c.of, got, a, err)
		}
	}
	if a := (Amount{Share: 0.5}); a.Of(-1) != 0 {
		t.Error("a share of what is not known is something")
	}
}
